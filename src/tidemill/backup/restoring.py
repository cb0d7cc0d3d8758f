"""Restoring a backup into an engine: checked whole before the first write, oldest tasks first."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from tidemill.app.schedules import revised
from tidemill.backup.file import Contents, check, open_file, read_member
from tidemill.backup.lines import (
    DocumentLine,
    Line,
    MarkLine,
    QueueLine,
    TallyLine,
    TaskLine,
)
from tidemill.backup.taking import Told
from tidemill.engine import SCHEDULE, Engine, Put
from tidemill.engines.sealed import stored
from tidemill.errors import Conflict

BATCH: Final = 500
"""Tasks, marks, tallies or documents that the engine takes in with one call."""

L = TypeVar("L", bound=Line)


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored: tasks, and how many of the file's the engine knew already.

    `queues` and `documents` (schedules, and what applications declared) count those that were
    written, `marks` and `tallies` those of the file.
    """

    file: Path
    restored: int
    known: int
    queues: int
    documents: int
    marks: int
    tallies: int


async def restore(
    engine: Engine, file: Path, *, into_used: bool = False, progress: Told | None = None
) -> RestoreReport:
    """Restore a backup into an engine of any kind, and answer what that was.

    The whole file is checked before the first write. What the engine knows already stays as it is,
    so that a restore that was cut off is repeated with `into_used`; without it, an engine that
    holds tasks or schedules is refused (`Conflict`). A task that was running, or that waited for
    children, is pending again. What is encrypted in the file is so in the engine, and what is not
    is not. Raises `InvalidBackup`, and `ConfigError` for a file that cannot be
    read. `progress` is told how many of how many tasks were handed over.
    """
    with await asyncio.to_thread(open_file, file) as stream:
        contents = await asyncio.to_thread(check, stream, file)
        if not into_used:
            await _refuse_used(engine, file)
        return await _Restoring(stored(engine), stream, contents, into_used=into_used).run(progress)


async def _refuse_used(engine: Engine, file: Path) -> None:
    tasks = sum(each.count for each in (await engine.stats()).counts)
    schedules = len(await engine.documents(SCHEDULE))
    if tasks or schedules:
        raise Conflict(
            f"the {engine.info.name} engine at {engine.info.location} holds {tasks:,} tasks and "
            f"{schedules:,} schedules already: restore {file.name} into an empty one, or say that "
            "it may be used, which adds what is not there (also to go on with a restore that was "
            "cut off)"
        )


class _Restoring:
    """One restore under way."""

    def __init__(
        self, engine: Engine, stream: BinaryIO, contents: Contents, *, into_used: bool
    ) -> None:
        self._engine = engine
        self._stream = stream
        self._contents = contents
        self._into_used = into_used

    async def run(self, progress: Told | None) -> RestoreReport:
        report = self._contents.report
        queues = await self._queues()
        async for marks in self._batches("mark", MarkLine):
            await self._engine.restore([], marks=[each.mark for each in marks])
        async for tallies in self._batches("tally", TallyLine):
            await self._engine.restore([], tallies=[each.tally for each in tallies])
        restored = done = 0
        # Oldest first, so that engines that order by arrival run them in the order of before.
        async for tasks in self._batches("task", TaskLine, newest_first=True):
            restored += sum(await self._engine.restore([each.task for each in tasks]))
            done += len(tasks)
            if progress is not None:
                progress(done, report.tasks)
        return RestoreReport(
            file=report.file,
            restored=restored,
            known=done - restored,
            queues=queues,
            # Schedules last: nothing fires into an engine that is half restored.
            documents=await self._documents(),
            marks=report.marks,
            tallies=report.tallies,
        )

    async def _queues(self) -> int:
        """An engine that is in use keeps the settings of the queues that it knows."""
        known = {each.name for each in (await self._engine.stats()).queues}
        made = 0
        async for lines in self._batches("queue", QueueLine):
            new = [
                each for each in lines if not (self._into_used and each.definition.name in known)
            ]
            await self._engine.configure([each.definition for each in new])
            for each in new:
                await self._engine.pause(each.definition.name, paused=each.paused)
            made += len(new)
        return made

    async def _documents(self) -> int:
        made = 0
        async for lines in self._batches("document", DocumentLine):
            puts = [
                Put(each.document.kind, each.document.key, each.document.body, if_version=0)
                for each in lines
            ]
            *answers, _ = await self._engine.put([*puts, revised()])
            made += sum(answer is not None for answer in answers)
        return made

    async def _batches(
        self, kind: str, line: type[L], *, newest_first: bool = False
    ) -> AsyncIterator[Sequence[L]]:
        """The lines of a kind as they stand in the file, or from its end to its beginning."""
        places = self._contents.members.get(kind, [])
        step = -1 if newest_first else 1
        for place in places[::step]:
            found = await asyncio.to_thread(
                read_member, self._stream, place, self._contents.report.file
            )
            lines = [each for each in found if isinstance(each, line)][::step]
            for start in range(0, len(lines), BATCH):
                yield lines[start : start + BATCH]
