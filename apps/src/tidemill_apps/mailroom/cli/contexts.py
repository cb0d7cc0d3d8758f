"""`mailroom context`: what a user works on."""

from argparse import Namespace

from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import NotFound
from tidemill_apps.mailroom.asking import BACKFILL, ask_for_context
from tidemill_apps.mailroom.cli.orders import say_who_works
from tidemill_apps.mailroom.cli.output import show, show_one
from tidemill_apps.mailroom.cli.session import Session
from tidemill_apps.mailroom.contexts import NewContext, delete_context
from tidemill_apps.mailroom.reading import contexts_of

_COLUMNS = ("context", "name", "mails", "keywords", "stakeholders")
_SHORT = 8


async def add(session: Session, said: Namespace) -> int:
    """Keep a context, and have the mails linked to it that are there already."""
    new = NewContext(said.name, tuple(said.keyword), tuple(said.stakeholder))
    async with session.opened() as mailroom:
        user_id = await session.new_user_id(mailroom)
        added = await ask_for_context(session.app, mailroom, user_id, new)
        await mailroom.outbox.relay()
        await say_who_works(session, BACKFILL)
    lines = {"context": added.context.id, "name": added.context.name, "task": added.task_id}
    show_one(session, added, lines)
    return 0


async def listed(session: Session, _: Namespace) -> int:
    """Print the user's contexts, and how many mails belong to each."""
    async with session.opened() as mailroom, mailroom.database.reading() as reading:
        found = await contexts_of(reading, await session.user_id(mailroom))
    rows = [
        (each.id[:_SHORT], each.name, each.mails, each.keywords, each.stakeholders)
        for each in found
    ]
    show(session, {"contexts": found}, _COLUMNS, rows)
    return 0


async def remove(session: Session, said: Namespace) -> int:
    """Forget a context; its mails stay."""
    async with session.opened() as mailroom:
        user_id = await session.user_id(mailroom)
        async with mailroom.database.writing() as writing:
            context_id = await context_said(session, writing, user_id, said.context)
            await delete_context(writing, user_id, context_id)
    show_one(session, {"id": context_id, "removed": True}, {"removed": context_id})
    return 0


async def context_said(session: Session, reading: AsyncSession, user_id: str, part: str) -> str:
    """The id of the context with this name, or an id that begins so; `NotFound` if none has."""
    contexts = await contexts_of(reading, user_id)
    named = [each.id for each in contexts if part in (each.name, each.id)]
    found = named or [each.id for each in contexts if each.id.startswith(part)]
    if len(found) == 1:
        return found[0]
    raise NotFound(session.say("context.several" if found else "context.unknown", context=part))
