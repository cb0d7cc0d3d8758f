"""What a user works on, and the mails that belong to it: by words, or by who takes part."""

import re
import uuid
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import Conflict, NotFound
from tidemill_apps.mailroom import tables
from tidemill_apps.services.database import insert_if_absent, utc_now

MOST_WORDS: Final = 100
LONGEST_WORD: Final = 200
_ALPHANUMERIC: Final = re.compile(r"[a-z0-9]")


class NewContext(msgspec.Struct, frozen=True):
    """A context to make: words that its mails have, addresses that write or get them.

    White space at the ends and case do not count.
    """

    name: str
    keywords: tuple[str, ...] = ()
    stakeholders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Even out the words, and refuse a context that no mail can belong to."""
        for field in ("keywords", "stakeholders"):
            words = dict.fromkeys(_even(each) for each in getattr(self, field))
            words.pop("", None)
            if len(words) > MOST_WORDS or any(len(each) > LONGEST_WORD for each in words):
                raise ValueError(
                    f"{field} may be {MOST_WORDS} of at most {LONGEST_WORD} characters each"
                )
            msgspec.structs.force_setattr(self, field, tuple(words))
        name = " ".join(self.name.split())
        if not 0 < len(name) <= LONGEST_WORD:
            raise ValueError(f"name must have 1 to {LONGEST_WORD} characters")
        msgspec.structs.force_setattr(self, "name", name)
        if not self.keywords and not self.stakeholders:
            raise ValueError("a context needs keywords or stakeholders")


class SmartContext(msgspec.Struct, frozen=True):
    """A context of a user; its words are in lower case."""

    id: str
    name: str
    keywords: tuple[str, ...]
    stakeholders: tuple[str, ...]


class Matched(msgspec.Struct, frozen=True):
    """A mail belongs to a context: `by` is the word or the address that says so."""

    context_id: str
    name: str
    by: str


def match(
    contexts: Sequence[SmartContext], subject: str, text: str, addresses: Collection[str]
) -> tuple[Matched, ...]:
    """The contexts that a mail belongs to, each by the first thing that says so.

    `addresses` are of its sender and of its recipients. Words of letters A-Z and digits must stand
    by themselves; Chinese ones are found wherever they stand.
    """
    said = _even(f"{subject}\n{text}")
    present = {_even(each) for each in addresses}
    found = ((each, _matching(each, said, present)) for each in contexts)
    return tuple(Matched(each.id, each.name, by) for each, by in found if by is not None)


async def add_context(session: AsyncSession, user_id: str, new: NewContext) -> SmartContext:
    """Keep a context; `Conflict` when the user has one of this name."""
    made = SmartContext(str(uuid.uuid4()), new.name, new.keywords, new.stakeholders)
    row = msgspec.structs.asdict(made) | {"user_id": user_id, "created_at": utc_now()}
    row |= {"keywords": list(new.keywords), "stakeholders": list(new.stakeholders)}
    if not await insert_if_absent(session, tables.contexts, row):
        raise Conflict(
            f"there is a context {new.name!r} already: delete it, or choose another name"
        )
    return made


async def contexts_of(
    session: AsyncSession, user_id: str, context_id: str | None = None
) -> list[SmartContext]:
    """The contexts of a user by name, or only one of them."""
    columns = tables.contexts.c
    wanted = select(tables.contexts).where(columns.user_id == user_id).order_by(columns.name)
    if context_id is not None:
        wanted = wanted.where(columns.id == context_id)
    rows = (await session.execute(wanted)).all()
    return [msgspec.convert(row, SmartContext, from_attributes=True) for row in rows]


async def delete_context(session: AsyncSession, user_id: str, context_id: str) -> None:
    """Remove a context with its links; `NotFound` if it is not the user's."""
    columns = tables.contexts.c
    same = (columns.id == context_id) & (columns.user_id == user_id)
    removed = await session.execute(delete(tables.contexts).where(same).returning(columns.id))
    if removed.first() is None:
        raise NotFound(f"user {user_id} has no context {context_id}")


async def link(session: AsyncSession, mail_id: str, matched: Sequence[Matched]) -> int:
    """Let a mail belong to contexts; answers to how many it did not belong before."""
    new = 0
    for each in matched:
        row = {"context_id": each.context_id, "mail_id": mail_id, "matched": each.by}
        new += await insert_if_absent(session, tables.context_links, row)
    return new


async def links_of(session: AsyncSession, mail_id: str) -> tuple[Matched, ...]:
    """The contexts that a mail belongs to, by name."""
    contexts, links = tables.contexts.c, tables.context_links.c
    wanted = (
        select(links.context_id, contexts.name, links.matched)
        .join_from(tables.context_links, tables.contexts)
        .where(links.mail_id == mail_id)
        .order_by(contexts.name)
    )
    return tuple(Matched(*map(str, row)) for row in (await session.execute(wanted)).all())


def _matching(context: SmartContext, said: str, present: set[str]) -> str | None:
    words = (word for word in context.keywords if _stands_in(word, said))
    people = (each for each in context.stakeholders if each in present)
    return next(words, None) or next(people, None)


def _stands_in(word: str, said: str) -> bool:
    if word not in said:
        return False
    before = r"(?<![a-z0-9])" if _ALPHANUMERIC.match(word[0]) else ""
    after = r"(?![a-z0-9])" if _ALPHANUMERIC.match(word[-1]) else ""
    return re.search(f"{before}{re.escape(word)}{after}", said) is not None


def _even(text: str) -> str:
    return " ".join(text.lower().split())
