"""Taking a backup: everything that an engine's verbs tell, written and read again."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, TypeVar

import msgspec

from tidemill.backup.file import BackupReport, Writer, verify
from tidemill.backup.lines import (
    FORMAT,
    KINDS,
    DocumentLine,
    Header,
    Line,
    MarkLine,
    QueueLine,
    TallyLine,
    TaskLine,
)
from tidemill.clock import EPOCH, MICROSECOND
from tidemill.engine import FIRES_KEPT, SCHEDULE, Engine, HistoryQuery, Mark, Resolution, TaskQuery
from tidemill.engines import Indexed
from tidemill.engines.sealed import stored
from tidemill.errors import ConfigError
from tidemill.task import Task

PAGE: Final = 500
"""Tasks, and marks, that are read with one call."""

STRETCHES: Final = 360
"""Minutes, and hours, whose tallies are read with one call: with 20 queues and types, 7,200."""

INDEXED: Final = 50_000
"""Changes, or tasks, that an index takes in with one search, where it is behind: 90,000 or more."""

Told = Callable[[int, int | None], None]
Write = Callable[[Sequence[Line]], Awaitable[None]]

P = ParamSpec("P")
R = TypeVar("R")


async def backup(engine: Engine, file: Path, *, progress: Told | None = None) -> BackupReport:
    """Back an engine up into a file, while it goes on; answers what a look into the file found.

    The file appears whole or not at all, readable by its owner only, and replaces one of the same
    name. What is encrypted in the engine is so in the file. `progress` is told how many tasks were
    written, and about how many there are. Raises
    `ConfigError` when the file cannot be written; what engines raise ends it without a file.
    """
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")

    async def on_disk(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from error

    try:
        with await on_disk(_created, part) as stream:
            writer = Writer(stream)
            kept = stored(engine)
            missing = await _read(kept, lambda lines: on_disk(writer.write, lines), progress)
            await on_disk(writer.close, missing)
            await on_disk(_flushed, stream)
        report = await verify(part)
        await on_disk(_renamed, part, file)
    finally:
        part.unlink(missing_ok=True)
    return msgspec.structs.replace(report, file=file)


async def _read(engine: Engine, write: Write, progress: Told | None) -> int:
    """Hand over all that an engine holds, in the order of the file; answers what is missing."""
    stats = await engine.stats()
    info = engine.info
    await write([Header(FORMAT, stats.at, info.name, info.versions)])
    await write([QueueLine(each.definition, each.paused) for each in stats.queues])
    documents = [each for kind in KINDS for each in await engine.documents(kind)]
    await write([DocumentLine(each) for each in documents])
    # Marks before tasks: an instant that fires in between is in the backup as a task, or it fires
    # again after restoring. The other way round it could be neither.
    schedules = [each.key for each in documents if each.kind == SCHEDULE]
    for start in range(0, len(schedules), PAGE):
        found = await engine.marks(schedules[start : start + PAGE], FIRES_KEPT)
        await write([MarkLine(each) for each in found.marks if each != Mark(each.schedule)])
    for query in _stretches(stats.at):
        await write([TallyLine(each) for each in await engine.history(query)])
    there = sum(each.count for each in stats.counts)
    await _catch_up(engine, there)
    written = of_before = 0
    async for tasks in _pages(engine):
        await write([TaskLine(each) for each in tasks])
        written += len(tasks)
        of_before += sum(each.enqueued_at <= stats.at for each in tasks)
        if progress is not None:
            progress(written, max(there, written))
    return max(0, there - of_before)


async def _catch_up(engine: Engine, there: int) -> None:
    """Let the engine's search learn of the tasks that are there now, while others may come in."""
    if not isinstance(engine, Indexed):
        return
    for _ in range((await engine.unindexed() + there) // INDEXED + 2):
        await engine.find(TaskQuery(limit=1))
        if not await engine.unindexed():
            return


async def _pages(engine: Engine) -> AsyncIterator[tuple[Task, ...]]:
    """All tasks, newest id first; none twice, because ids only fall from page to page."""
    query = TaskQuery(limit=PAGE, details=True)
    while True:
        page = await engine.find(query)
        yield page.tasks
        if page.cursor is None:
            return
        query = msgspec.structs.replace(query, before=page.cursor)


def _stretches(now: datetime) -> Iterator[HistoryQuery]:
    """Queries for all tallies, a moderate number of them each."""
    until = now + MICROSECOND
    for resolution in Resolution:
        kept = resolution.kept
        if kept is None:
            yield HistoryQuery(since=EPOCH, until=until, resolution=resolution)
            continue
        since = now - kept
        while since < until:
            end = min(until, since + STRETCHES * resolution.length)
            yield HistoryQuery(since=since, until=end, resolution=resolution)
            since = end


def _created(part: Path) -> BinaryIO:
    return os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _flushed(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _renamed(part: Path, file: Path) -> None:
    part.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
