"""`mailroom import`: mail from files, and the progress of its analysis."""

import asyncio
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tidemill import State, TaskQuery, Tidemill
from tidemill_apps.mailroom.asking import ANALYZE
from tidemill_apps.mailroom.cli.orders import say_who_works
from tidemill_apps.mailroom.cli.output import show_one
from tidemill_apps.mailroom.cli.session import Session
from tidemill_apps.mailroom.cli.showing import progress
from tidemill_apps.mailroom.cli.telling import note
from tidemill_apps.mailroom.importing import ImportProgress, import_mails
from tidemill_apps.mailroom.listeners import LISTENERS
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.store import MailStore
from tidemill_apps.services.database import utc_now

EVERY: Final = 0.3
"""Seconds between two looks at the engine."""

REASONS: Final = 5
"""Failed analyses whose reason is told."""


class Analyses(msgspec.Struct, frozen=True):
    """What the engine has of the analyses of all users: live ones, and those that ended since."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def share(self) -> float:
        """Which of them have ended, 0..1."""
        ended = self.completed + self.failed + self.cancelled
        live = self.pending + self.running
        return ended / (ended + live) if live else 1.0


async def import_(session: Session, said: Namespace) -> int:
    """Store the mails of a file or a folder; `--wait` waits until all of them are analysed."""
    async with session.opened() as mailroom:
        before = await _counts(session.app)
        begun = utc_now()
        user_id = await session.new_user_id(mailroom)
        done = await _import(session, mailroom, user_id, said)
        await mailroom.outbox.relay()
        for each in done.named:
            note(session.say("import.skipped", file=each))
        await say_who_works(session, ANALYZE)
        analyses = await _analysed(session, mailroom, before) if said.wait else None
        failures = await _failures(session.app, user_id, begun) if analyses else []
    told = {**msgspec.structs.asdict(done.stored), "skipped": done.skipped}
    lines = {f"import.{name}": count for name, count in told.items()}
    if analyses is not None:
        told["analyses"] = analyses
        lines["import.analyses"] = session.say("analysis.counts", **_numbers(analyses))
    show_one(session, told, lines)
    for reason in failures:
        note(reason)
    return 1 if analyses is not None and analyses.failed else 0


async def _import(
    session: Session, mailroom: Mailroom, user_id: str, said: Namespace
) -> ImportProgress:
    store = MailStore(mailroom.database, mailroom.outbox, mailroom.files, LISTENERS)
    now = ImportProgress(0)
    with progress(session.say("import.title")) as advance:
        async for now in import_mails(store, user_id, said.path):
            numbers = msgspec.structs.asdict(now.stored)
            share = now.read / now.total if now.total else 1.0
            advance(share, session.say("import.doing", **numbers))
    return now


async def _analysed(session: Session, mailroom: Mailroom, before: Mapping[State, int]) -> Analyses:
    """Wait until no analysis is left in the engine, and tell how far they are meanwhile."""
    with progress(session.say("analysis.title")) as advance:
        while True:
            relayed = await mailroom.outbox.relay()
            now = _analyses(await _counts(session.app), before, waiting=relayed.waiting)
            advance(now.share, session.say("analysis.counts", **_numbers(now)))
            if not now.pending and not now.running:
                return now
            await asyncio.sleep(EVERY)


async def _counts(app: Tidemill) -> Mapping[State, int]:
    engine = await app.engine()
    counts = Counter[State]()
    for each in (await engine.stats()).counts:
        if each.task_type == ANALYZE:
            counts[each.state] += each.count
    return counts


def _analyses(now: Mapping[State, int], before: Mapping[State, int], *, waiting: int) -> Analyses:
    def ended(state: State) -> int:
        return max(0, now[state] - before[state])  # old ones may have been pruned meanwhile

    return Analyses(
        pending=now[State.PENDING] + now[State.SCHEDULED] + now[State.BLOCKED] + waiting,
        running=now[State.RUNNING],
        completed=ended(State.COMPLETED),
        failed=ended(State.FAILED),
        cancelled=ended(State.CANCELLED),
    )


async def _failures(app: Tidemill, user_id: str, since: datetime) -> list[str]:
    """Why analyses of this user's mails have failed, one line each."""
    engine = await app.engine()
    query = TaskQuery(
        task_types=frozenset({ANALYZE}),
        states=frozenset({State.FAILED}),
        user_id=user_id,
        enqueued_from=since,
        limit=REASONS,
    )
    errors = [each.error for each in (await engine.find(query)).tasks]
    return [f"{each.type}: {each.message}" for each in errors if each is not None]


def _numbers(analyses: Analyses) -> dict[str, int]:
    return msgspec.structs.asdict(analyses)
