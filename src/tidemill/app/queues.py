"""The operations on queues: `app.queues`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Unpack

import msgspec

from tidemill.clock import MICROSECOND
from tidemill.engine import (
    Document,
    Engine,
    Put,
    QueueDefinition,
    QueueStatus,
    StateCount,
    Stats,
    TaskQuery,
)
from tidemill.errors import (
    ChangedMeanwhile,
    ConfigError,
    Conflict,
    PayloadUndecodable,
    QueueNotFound,
)
from tidemill.queue import (
    FIELDS,
    QUEUE,
    QueueDocument,
    QueueOptions,
    decided_by,
    decode,
    encode,
    noted,
    unlike_default,
    with_options,
    without,
)
from tidemill.task import WAITING, State

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

ROUNDS: Final = 10
"""How often a change is worked out anew because somebody else made one in between."""

BATCH: Final = 500
"""Tasks that one step cancels at most, so that others get their turn at the engine."""


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it stands. `counts` has every state, also those with none.

    `definition` is in force; `declared` is what code says, None where no code declares the queue,
    and `changed` names what an operator changed at run time, which wins over the code. `version`
    rises when it is changed, paused or resumed; it is 0 as long as nobody did.
    """

    definition: QueueDefinition
    declared: QueueDefinition | None
    changed: tuple[str, ...]
    version: int
    paused: bool
    counts: dict[State, int]
    oldest_pending_at: datetime | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def waiting(self) -> int:
        """How many of its tasks wait: what its capacity bounds."""
        return sum(self.counts[state] for state in WAITING)


class Purged(msgspec.Struct, frozen=True):
    """A purge of what was enqueued until `at`: so many tasks waited, so many were cancelled."""

    at: datetime
    waiting: int
    cancelled: int


Listed = list[QueueInfo]
Progress = Callable[[int, int], object]
Change = Callable[[QueueDocument], QueueDocument]


class Queues:
    """The queues of an application's engine, whoever made them.

    A queue also exists without having been made: once a task or a setting names it. Workers
    without a list of queues serve a new one at once, and a changed setting holds from the next
    claim. With `if_version`, the `version` of a `QueueInfo`, nothing but what was read is changed,
    else `ChangedMeanwhile` is raised; check and change are one step.
    """

    def __init__(self, app: "Tidemill") -> None:
        self._app = app

    async def create(self, name: str, **said: Unpack[QueueOptions]) -> QueueInfo:
        """Make a queue at run time; `QueueOptions` says what each setting means.

        Raises `Conflict` when it was made or declared already, and `ConfigError`.
        """
        engine = await self._app.engine()
        wanted = with_options(QueueDefinition(name), said)
        document = QueueDocument(changed=unlike_default(wanted))
        [made] = await engine.put([Put(QUEUE, name, encode(document), 0)])
        await bring_into_force(engine)
        if made is None:
            raise Conflict(f"there is a queue called {name!r} already: change it instead")
        return await self.get(name)

    async def get(self, name: str) -> QueueInfo:
        """One queue; raises `QueueNotFound`."""
        engine = await self._app.engine()
        stats = await engine.stats()
        status = _status(stats, name)
        [document] = await engine.get(QUEUE, [name])
        return _described(status, stats.counts, document)

    async def list(self) -> Listed:
        """All queues by name."""
        engine = await self._app.engine()
        stats = await engine.stats()
        documents = {each.key: each for each in await engine.documents(QUEUE)}
        counts: dict[str, list[StateCount]] = {}
        for each in stats.counts:
            counts.setdefault(each.queue, []).append(each)
        return [
            _described(status, counts.get(status.name, ()), documents.get(status.name))
            for status in stats.queues
        ]

    async def change(
        self, name: str, *, if_version: int | None = None, **said: Unpack[QueueOptions]
    ) -> QueueInfo:
        """Change what is said and leave the rest; None removes a limit.

        Of a queue that code declares, what is changed here wins over the code from now on, until it
        is `reset`. Raises `QueueNotFound` and `ConfigError`.
        """

        def changed(present: QueueDocument) -> QueueDocument:
            wanted = with_options(present.effective(name), said)
            changes = noted(present.changed, wanted, decided_by(said))
            return msgspec.structs.replace(present, changed=changes)

        return await self._change(name, if_version, changed)

    async def reset(self, name: str, *fields: str, if_version: int | None = None) -> QueueInfo:
        """Take changes back: these settings, else all, are again as code declares them.

        What no code declares is as it is for any queue. Raises `QueueNotFound` and `ConfigError`.
        """
        named = decided_by(fields or FIELDS)
        for field in named - {*FIELDS}:
            raise ConfigError(
                f"queue {name}: there is no setting called {field!r}; there are {', '.join(FIELDS)}"
            )
        return await self._change(
            name,
            if_version,
            lambda present: msgspec.structs.replace(
                present, changed=without(present.changed, named)
            ),
        )

    async def pause(self, name: str, *, if_version: int | None = None) -> QueueInfo:
        """Stop claims from a queue until it is resumed; what runs goes on."""
        return await self._pause(name, if_version, paused=True)

    async def resume(self, name: str, *, if_version: int | None = None) -> QueueInfo:
        """Let a queue be claimed from again."""
        return await self._pause(name, if_version, paused=False)

    async def purge(
        self,
        name: str,
        *,
        dry_run: bool = False,
        until: datetime | None = None,
        progress: Progress | None = None,
    ) -> Purged:
        """Cancel the waiting tasks of a queue, with the reason `purged`; running ones go on.

        Those that were enqueued until an instant, such as the `at` of a dry run, else until now.
        A dry run counts what waits now, exactly, and changes nothing. `progress` is called with
        how many were looked at, of how many.
        """
        engine = await self._app.engine()
        stats = await engine.stats()
        _status(stats, name)
        waiting = sum(
            each.count for each in stats.counts if each.queue == name and each.state in WAITING
        )
        at = until or stats.at
        if dry_run:
            return Purged(at, waiting, 0)
        query = TaskQuery(
            states=WAITING,
            queues=frozenset({name}),
            enqueued_until=at + MICROSECOND,
            limit=BATCH,
        )
        seen = cancelled = 0
        while True:
            page = await engine.find(query)
            answers = await engine.cancel([task.id for task in page.tasks], "purged")
            cancelled += sum(answer is State.CANCELLED for answer in answers)
            seen += len(page.tasks)
            if progress is not None:
                progress(seen, max(waiting, seen))
            if page.cursor is None:
                return Purged(at, waiting, cancelled)
            query = msgspec.structs.replace(query, before=page.cursor)

    async def _pause(self, name: str, if_version: int | None, *, paused: bool) -> QueueInfo:
        engine = await self._app.engine()
        for _ in range(ROUNDS):
            status, document = await _read(engine, name, if_version)
            if status.paused is paused:
                return await self.get(name)
            told = document.body if document else encode(_told(status.definition, None))
            # Written as it is: the version that this raises decides between those who change it.
            put = Put(QUEUE, name, told, _version(document))
            if None not in await engine.put([put]):
                await engine.pause(name, paused=paused)
                return await self.get(name)
        raise _contended(name)

    async def _change(self, name: str, if_version: int | None, change: Change) -> QueueInfo:
        engine = await self._app.engine()
        for _ in range(ROUNDS):
            status, document = await _read(engine, name, if_version)
            present = _told(status.definition, document)
            wanted = change(present)
            put = Put(QUEUE, name, encode(wanted), _version(document))
            unchanged = document is not None and wanted == present
            if unchanged or None not in await engine.put([put]):
                await bring_into_force(engine)
                return await self.get(name)
        raise _contended(name)


async def bring_into_force(engine: Engine) -> None:
    """Configure the queues whose documents say otherwise than the engine; safe to race.

    The documents are read again afterwards: whoever configures what was changed meanwhile does it
    again, so that the newest settings stay.
    """
    documents = await engine.documents(QUEUE)
    for _ in range(ROUNDS):
        if not documents:
            return
        present = {each.name: each.definition for each in (await engine.stats()).queues}
        wanted = [told.effective(each.key) for each in documents if (told := readable(each))]
        outdated = [each for each in wanted if present.get(each.name) != each]
        if not outdated:
            return
        await engine.configure(outdated)
        again = await engine.documents(QUEUE)
        if again == documents:
            return
        documents = again
    raise Conflict(f"the queues were changed by others {ROUNDS} times: try again")


def readable(document: Document) -> QueueDocument | None:
    """What a document says; None for one that this process cannot read, which stays as it is."""
    try:
        return decode(document.key, document.body)
    except (ConfigError, PayloadUndecodable):
        return None


async def _read(
    engine: Engine, name: str, if_version: int | None
) -> tuple[QueueStatus, Document | None]:
    """How a queue stands and what it was told, if its version is this one."""
    status = _status(await engine.stats(), name)
    [document] = await engine.get(QUEUE, [name])
    if if_version not in (None, _version(document)):
        raise ChangedMeanwhile(f"the queue {name!r}")
    return status, document


def _version(document: Document | None) -> int:
    return document.version if document else 0


def _contended(name: str) -> Conflict:
    return Conflict(f"the queue {name!r} was changed by others {ROUNDS} times: try again")


def _told(definition: QueueDefinition, document: Document | None) -> QueueDocument:
    """What a queue was told; without a document, what the engine knows was changed by hand."""
    if document is None:
        return QueueDocument(changed=unlike_default(definition))
    return decode(document.key, document.body)


def _described(
    status: QueueStatus, counts: Sequence[StateCount], document: Document | None
) -> QueueInfo:
    told = (readable(document) if document else None) or QueueDocument()
    by_state = dict.fromkeys(State, 0)
    for each in counts:
        if each.queue == status.name:
            by_state[each.state] += each.count
    return QueueInfo(
        definition=status.definition,
        declared=told.declared,
        changed=tuple(told.changed.said),
        version=_version(document),
        paused=status.paused,
        counts=by_state,
        oldest_pending_at=status.oldest_pending_at,
    )


def _status(stats: Stats, name: str) -> QueueStatus:
    found = next((each for each in stats.queues if each.name == name), None)
    if found is None:
        raise QueueNotFound(name)
    return found
