"""The queues that code declares, brought together with what the engine has.

An application keeps the names that it declared in a document of its own, so that it can tell what
its code no longer declares from what others made.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from tidemill.app.queues import ROUNDS, bring_into_force, readable
from tidemill.engine import Document, Engine, Put
from tidemill.errors import Conflict
from tidemill.queue import QUEUE, QueueDocument, encode
from tidemill.sealing import unsealed

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

DECLARED_QUEUES: Final = "declared_queues"


class DeclaredQueues(msgspec.Struct, frozen=True):
    """The queues that an application declared when a process of it last started."""

    queues: tuple[str, ...]
    task_types: tuple[str, ...]


async def reconcile_queues(app: "Tidemill", engine: Engine) -> None:
    """Make the queues that the application declares true in its engine; safe to repeat and race.

    What an operator changed stays. Of queues that this application declared before, and its code
    no longer does, the declaration is taken back, unless another application declares them too. An
    application is known again as for schedules (`declared.reconcile`). What is changed, but not in
    force because somebody was cut off while changing it, is brought into force.
    """
    owner = app.import_path or "embedded"
    for _ in range(ROUNDS):
        records = {each.key: each for each in await engine.documents(DECLARED_QUEUES)}
        before = _read(records.pop(owner, None))
        now = DeclaredQueues(tuple(sorted(app.declared_queues)), tuple(sorted(app.task_types)))
        if not now.queues and not before.record.queues:
            break
        others = {name for each in records.values() for name in _read(each).record.queues}
        puts = await _changes(app, engine, _gone(before.record, now) - others)
        if now != before.record:
            puts.append(Put(DECLARED_QUEUES, owner, msgspec.json.encode(now), before.version))
        if not puts or None not in await engine.put(puts):
            break
    else:
        raise Conflict(f"the queues of {owner} were changed by others {ROUNDS} times")
    await bring_into_force(engine)


def _gone(before: DeclaredQueues, now: DeclaredQueues) -> set[str]:
    """What the same application declared before and does not any more."""
    known_again = not set(before.task_types).isdisjoint(now.task_types)
    return set(before.queues) - set(now.queues) if known_again else set()


async def _changes(app: "Tidemill", engine: Engine, gone: Iterable[str]) -> list[Put]:
    """What has to be written so that the documents have what the code says."""
    names = [*app.declared_queues, *sorted(gone)]
    puts = []
    for name, document in zip(names, await engine.get(QUEUE, names), strict=True):
        present = readable(document) if document else QueueDocument()
        if present is None:
            continue  # written by a newer version, which knows better
        wanted = msgspec.structs.replace(present, declared=app.declared_queues.get(name))
        if document is None or wanted != present:
            puts.append(Put(QUEUE, name, encode(wanted), document.version if document else 0))
    return puts


class _Read(msgspec.Struct, frozen=True):
    record: DeclaredQueues = DeclaredQueues((), ())
    version: int = 0


def _read(document: Document | None) -> _Read:
    if document is None:
        return _Read()
    return _Read(
        msgspec.json.decode(unsealed(document.body), type=DeclaredQueues), document.version
    )
