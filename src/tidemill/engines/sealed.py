"""Encryption at rest, as an engine around any engine: nothing that people write is stored in plain.

Sealed are payloads, results, messages and tracebacks of errors, lines of logs, progress, reasons,
and the bodies of documents. What an engine acts on or is searched by stays as it is: ids, types,
queues, instants, tags, users, projects, headers, keys, error types and fingerprints.

A value that was written before there was a key comes back as it is. One that cannot be opened is
marked and raises where it is read, so that it costs no other one (sealing.py).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import msgspec

from tidemill.engine import (
    ClaimRequest,
    Document,
    Engine,
    EngineInfo,
    Enqueued,
    Extension,
    FeedPage,
    Fired,
    Firing,
    HistoryQuery,
    Hold,
    Mark,
    Marks,
    Promoted,
    Put,
    QueueDefinition,
    Reclaimed,
    Retrial,
    Stats,
    Tally,
    TaskPage,
    TaskQuery,
    Transaction,
)
from tidemill.engines.sealed_values import Passing
from tidemill.outcome import Settlement
from tidemill.sealing import Keyring
from tidemill.settings import Settings
from tidemill.task import Claim, NewTask, State, Task

_replace = msgspec.structs.replace


def stored(engine: Engine) -> Engine:
    """The engine that keeps the bytes: the one inside a `Sealed`, any other itself."""
    return engine.inside if isinstance(engine, Sealed) else engine


def sealed(engine: Engine, settings: Settings) -> Engine:
    """The engine, sealed with the keys of settings; as it is where there are none."""
    keys = Keyring.of(settings.encryption_key, settings.former_encryption_keys)
    return engine if keys is None else Sealed(engine, keys)


class Sealed:
    """Passes calls on to an engine, with what people write sealed on the way in and opened out.

    `TaskQuery.error_contains` finds by error type only: messages cannot be searched. `inside` is
    the engine that holds the sealed values.
    """

    def __init__(self, inside: Engine, keys: Keyring) -> None:
        self.inside = inside
        self._keys = keys
        self._seal = Passing(keys.seal, keys.seal_text)
        self._open = Passing(keys.open, keys.open_text)

    @property
    def info(self) -> EngineInfo:
        return self.inside.info

    def session(self) -> Engine:
        return Sealed(self.inside.session(), self._keys)

    async def close(self) -> None:
        await self.inside.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self.inside.transaction()

    # produce

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        return await self.inside.enqueue([self._seal.new_task(each) for each in tasks], tx=tx)

    # consume

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        return [self._open.claim(each) for each in await self.inside.claim(request)]

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return await self.inside.extend([self._seal.extension(each) for each in extensions], lease)

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        return await self.inside.settle(
            [self._seal.settlement(each) for each in settlements], tx=tx
        )

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        await self.inside.wait(queues, timeout)

    # repair

    async def migrate(self) -> None:
        await self.inside.migrate()

    async def promote(self, limit: int) -> Promoted:
        return await self.inside.promote(limit)

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        return await self.inside.reclaim(limit)

    async def prune(self, limit: int) -> int:
        return await self.inside.prune(limit)

    # operate

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return await self.inside.cancel(ids, self._seal.reason(reason))

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return await self.inside.retry(ids)

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return await self.inside.remove(ids)

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self.inside.pause(queue, paused=paused)

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        await self.inside.configure(queues)

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return await self.inside.fire([self._seal.firing(each) for each in firings])

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        sealed = [self._seal.task(each) for each in tasks]
        return await self.inside.restore(sealed, marks=marks, tallies=tallies)

    # documents

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return [self._opened(each) for each in await self.inside.get(kind, keys)]

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        answers = await self.inside.put([self._seal.put(each) for each in puts])
        return [self._opened(each) for each in answers]

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return [self._open.document(each) for each in await self.inside.documents(kind, prefix)]

    def _opened(self, document: Document | None) -> Document | None:
        return None if document is None else self._open.document(document)

    # observe

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        return await self.inside.marks(schedules, fires)

    async def history(self, query: HistoryQuery) -> list[Tally]:
        return await self.inside.history(query)

    async def find(self, query: TaskQuery) -> TaskPage:
        page = await self.inside.find(query)
        tasks = tuple(self._open.task(each) for each in page.tasks)
        if query.error_contains is not None:
            tasks = tuple(filter(_says(query.error_contains), tasks))
        return TaskPage(tasks, page.cursor)

    async def stats(self) -> Stats:
        return await self.inside.stats()

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        page = await self.inside.feed(after, limit, wait)
        return _replace(page, entries=tuple(self._open.transition(each) for each in page.entries))


def _says(text: str) -> Callable[[Task], bool]:
    """Whether an error has this text: the engine took what is sealed for its letters."""
    wanted = text.lower()
    return lambda task: (
        task.error is not None
        and (wanted in task.error.type.lower() or wanted in task.error.message.lower())
    )
