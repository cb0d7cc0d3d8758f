"""A sealed engine keeps every rule, and nothing of what people wrote stands in its store."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from tests.engines.makers import ENGINES, Servers
from tidemill.clock import SystemClock
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import (
    SCHEDULE,
    ClaimRequest,
    Document,
    Engine,
    Extension,
    Firing,
    Put,
    TaskQuery,
)
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.sealed import Sealed, stored
from tidemill.engines.sqlite import SqliteEngine
from tidemill.errors import KeyMissing, PayloadUndecodable
from tidemill.outcome import Cancelled, Completed, Failed, Outcome, Retried, Settlement, Snoozed
from tidemill.sealing import Keyring, unsealed
from tidemill.task import LogLine, Progress, State, Task, TaskError
from tidemill.testing import RULES, Lab, MakeEngine, Rule, check_rule, numbered_id
from tidemill.testing.lab import TICK, LabClock

_engine: type[Engine] = Sealed

SEARCHES_MESSAGES = "errors_are_found_by_fingerprint_and_by_text"
"""The rule that a sealed engine cannot keep: it finds by error type, not by message."""

CANARY = "canary-of-the-mine"
FORMS = (CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.upper().encode())


def a_key() -> str:
    return os.urandom(32).hex()


def keys(key: str | None, *former: str) -> Keyring:
    made = Keyring.of(key, former)
    assert made is not None
    return made


@pytest.fixture(params=["memory", "sqlite"])
def make_sealed(request: pytest.FixtureRequest, servers: Servers) -> Iterator[MakeEngine]:
    with ENGINES[request.param].stores(servers) as make:
        ring = keys(a_key())
        yield lambda clock: Sealed(make(clock), ring)


async def test_messages_of_errors_cannot_be_searched(make_sealed: MakeEngine) -> None:
    [rule] = [rule for rule in RULES if rule.name == SEARCHES_MESSAGES]
    with pytest.raises(AssertionError, match="50%"):
        await check_rule(rule, make_sealed)


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule.name != SEARCHES_MESSAGES],
    ids=lambda rule: f"{rule.subject}:{rule.name}",
)
async def test_a_sealed_engine_keeps_the_rule(rule: Rule, make_sealed: MakeEngine) -> None:
    promised = make_sealed(LabClock()).info
    assert await check_rule(rule, make_sealed) == rule.applies(promised)


# what is stored


@dataclass(frozen=True, slots=True)
class Written:
    """A store in which a canary was written at every place that people write at."""

    engine: Sealed
    ids: dict[str, str]


async def write_everywhere(engine: Sealed) -> Written:
    """Leave a canary in everything that is sealed, in tasks of every end."""
    await engine.migrate()
    lab = Lab(engine, LabClock())
    secret = DEFAULT_CODEC.encode({"text": CANARY})
    error = TaskError("builtins.ValueError", CANARY, f"Traceback: {CANARY}", "f" * 16)
    line = LogLine(lab.now(), "info", CANARY, 1)
    ends: dict[str, Outcome] = {
        "completed": Completed(secret),
        "retried": Retried(error, timedelta(hours=1)),
        "failed": Failed(error),
        "cancelled": Cancelled(CANARY),
        "snoozed": Snoozed(timedelta(hours=1), CANARY),
    }
    ids = {}
    for name, outcome in ends.items():
        claim = await lab.start(payload=secret, queue=name)
        extension = Extension(claim.ref, Progress(1.0, CANARY, CANARY), (line,))
        await engine.extend([extension], timedelta(minutes=1))
        child = lab.new(payload=secret, queue="children")
        settled = Settlement(
            claim.ref, outcome, (child,), Progress(2.0, CANARY, CANARY, 1, 2), (line,)
        )
        assert await engine.settle([settled]) != [None]
        ids[name] = claim.ref.task_id
    ids["waiting"] = await lab.add(payload=secret, queue="waiting")
    ids["asked"] = await lab.add(payload=secret, queue="waiting")
    await engine.cancel([ids["asked"]], CANARY)
    [claim] = await lab.claim(queues=("waiting",))
    assert claim.payload == secret
    fired = lab.new(payload=secret, queue="fired")
    assert await engine.fire([Firing("nightly", lab.now(-TICK), fired)])
    await engine.put([Put("note", "one", CANARY.encode())])
    return Written(engine, ids)


async def all_tasks(engine: Engine) -> list[Task]:
    return list((await engine.find(TaskQuery(limit=1000, details=True))).tasks)


async def test_what_is_written_is_read_and_the_engine_inside_knows_none_of_it() -> None:
    written = await write_everywhere(Sealed(MemoryEngine(), keys(a_key())))
    inside = await all_tasks(stored(written.engine))
    assert CANARY not in str(inside)
    assert CANARY not in str(await stored(written.engine).documents("note"))
    assert CANARY not in str(await stored(written.engine).feed("", 1000, timedelta()))
    tasks = {task.id: task for task in await all_tasks(written.engine)}
    assert len(tasks) == len(inside) > 10
    assert all(CANARY in str(task.payload) for task in tasks.values())
    failed = tasks[written.ids["failed"]]
    assert failed.error is not None
    assert (failed.error.message, failed.error.traceback) == (CANARY, f"Traceback: {CANARY}")
    assert [line.message for line in failed.logs] == [CANARY, CANARY]
    assert tasks[written.ids["cancelled"]].reason == CANARY
    assert tasks[written.ids["asked"]].reason == CANARY
    assert tasks[written.ids["snoozed"]].reason == CANARY
    assert CANARY in str(tasks[written.ids["completed"]].result)
    progress = failed.progress
    assert progress == Progress(2.0, CANARY, CANARY, 1, 2)
    told = (await written.engine.feed("", 1000, timedelta())).entries
    assert any(each.progress and each.progress.message == CANARY for each in told)
    [document] = await written.engine.get("note", ["one"])
    assert document is not None
    assert document.body == CANARY.encode()


async def test_the_files_of_sqlite_hold_no_canary(tmp_path: Path) -> None:
    engine = Sealed(SqliteEngine(tmp_path / "tasks.db"), keys(a_key()))
    written = await write_everywhere(engine)
    assert _in_files(tmp_path) == []
    await written.engine.close()
    assert _in_files(tmp_path) == []


async def test_a_canary_is_found_in_the_files_of_an_engine_that_is_not_sealed(
    tmp_path: Path,
) -> None:
    engine = SqliteEngine(tmp_path / "tasks.db")
    await write_everywhere(Sealed(engine, keys(None, a_key())))  # reads only
    assert _in_files(tmp_path)
    await engine.close()


def _in_files(folder: Path) -> list[str]:
    files = [each for each in folder.iterdir() if each.is_file()]
    assert files
    return [each.name for each in files if any(form in each.read_bytes() for form in FORMS)]


async def test_a_server_holds_no_canary(servers: Servers) -> None:
    with ENGINES["valkey"].stores(servers) as make:
        engine = Sealed(make(SystemClock()), keys(a_key()))
        await write_everywhere(engine)
        [node] = servers._nodes("valkey")
        values = list(_dumped(node))
        assert len(values) > 10
        assert [each for each in values if any(form in each for form in FORMS)] == []
        await engine.close()


def _dumped(node: Any) -> Iterator[bytes]:
    """Every key and value of a server as `DUMP` gives it, which compresses nothing this short."""
    client = redis.Redis(port=node.port)
    client.config_set("rdbcompression", "no")
    for key in client.scan_iter(count=1000):
        yield bytes(key)
        yield bytes(client.dump(key) or b"")
    client.close()


# keys


@pytest.fixture
def store() -> MemoryEngine:
    return MemoryEngine(clock=SystemClock())


async def add(engine: Engine, text: str, task_type: str = "mail.send") -> str:
    lab = Lab(engine, LabClock())
    payload = DEFAULT_CODEC.encode({"text": text})
    task_id = numbered_id(len(await all_tasks(engine)))
    task = msgspec.structs.replace(lab.new(payload=payload, task_type=task_type), id=task_id)
    await engine.enqueue([task])
    return task_id


async def read(engine: Engine, task_id: str) -> Any:
    [task] = (await engine.find(TaskQuery(ids=(task_id,), details=True))).tasks
    assert task.payload is not None
    return DEFAULT_CODEC.decode(task.payload)


async def test_what_was_written_before_there_was_a_key_is_read(store: MemoryEngine) -> None:
    old = await add(store, "plain")
    sealed = Sealed(store, keys(a_key()))
    new = await add(sealed, "sealed")
    assert await read(sealed, old) == {"text": "plain"}
    assert await read(sealed, new) == {"text": "sealed"}
    [first, second] = await sealed.claim(_all_of("mail.send"))
    assert [DEFAULT_CODEC.decode(each.payload)["text"] for each in (first, second)] == [
        "plain",
        "sealed",
    ]


def _all_of(task_type: str) -> ClaimRequest:
    return ClaimRequest(
        claim_id="00000000-0000-4000-8000-000000000001",
        worker="w",
        queues=None,
        task_types=frozenset({task_type}),
        limit=10,
    )


async def test_a_rotated_key_reads_old_tasks_and_writes_new_ones(store: MemoryEngine) -> None:
    first, second = a_key(), a_key()
    old = await add(Sealed(store, keys(first)), "old")
    rotated = Sealed(store, keys(second, first))
    new = await add(rotated, "new")
    assert await read(rotated, old) == {"text": "old"}
    assert await read(rotated, new) == {"text": "new"}
    # Who has not the new key yet reads what was written with the old one.
    behind = Sealed(store, keys(first, second))
    assert await read(behind, new) == {"text": "new"}


async def test_a_removed_key_is_named_and_costs_nothing_else(store: MemoryEngine) -> None:
    first, second = a_key(), a_key()
    gone = keys(first).current_id
    old = await add(Sealed(store, keys(first)), "old")
    alone = Sealed(store, keys(second))
    new = await add(alone, "new")
    claims = {each.ref.task_id: each for each in await alone.claim(_all_of("mail.send"))}
    assert claims.keys() == {old, new}
    assert DEFAULT_CODEC.decode(claims[new].payload) == {"text": "new"}
    with pytest.raises(KeyMissing, match=f"the key {gone}, which this process does not have"):
        DEFAULT_CODEC.decode(claims[old].payload)
    for engine in (alone, store):  # with other keys, and with none at all
        with pytest.raises(KeyMissing) as raised:
            await read(engine, old)
        assert raised.value.key_id == gone


async def test_texts_whose_key_is_missing_say_so(store: MemoryEngine) -> None:
    first = keys(a_key())
    task_id = await add(Sealed(store, first), "old")
    await Sealed(store, first).cancel([task_id], "because")
    [task] = await all_tasks(Sealed(store, keys(a_key())))
    assert task.reason == f"(encrypted with the key {first.current_id}, which is missing)"
    assert task.state is State.CANCELLED


async def test_a_document_whose_key_is_missing_raises_where_it_is_read(
    store: MemoryEngine,
) -> None:
    first = Sealed(store, keys(a_key()))
    await first.put([Put(SCHEDULE, "nightly", b"{}")])
    second = Sealed(store, keys(a_key()))
    await second.put([Put(SCHEDULE, "weekly", b"[]")])
    nightly, weekly = await second.documents(SCHEDULE)
    assert unsealed(weekly.body) == b"[]"
    with pytest.raises(KeyMissing):
        unsealed(nightly.body)


# what was altered or moved


async def test_an_altered_payload_is_an_error_of_that_task_alone(store: MemoryEngine) -> None:
    sealed = Sealed(store, keys(a_key()))
    broken, whole = await add(sealed, "broken"), await add(sealed, "whole")
    altered = MemoryEngine()
    for task in await all_tasks(store):
        payload = task.payload or b""
        if task.id == broken:
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        await altered.restore([_with_payload(task, payload)])
    opened = Sealed(altered, sealed._keys)
    assert await read(opened, whole) == {"text": "whole"}
    with pytest.raises(PayloadUndecodable, match="altered after it was encrypted") as raised:
        await read(opened, broken)
    assert not isinstance(raised.value, KeyMissing)


def _with_payload(task: Task, payload: bytes) -> Task:
    return msgspec.structs.replace(task, payload=payload)


async def test_a_payload_of_another_type_does_not_open(store: MemoryEngine) -> None:
    sealed = Sealed(store, keys(a_key()))
    mail, wipe = await add(sealed, "mail", "mail.send"), await add(sealed, "wipe", "disk.wipe")
    tasks = {task.id: task for task in await all_tasks(store)}
    swapped = MemoryEngine()
    for task_id, other in ((mail, wipe), (wipe, mail)):
        await swapped.restore([_with_payload(tasks[task_id], tasks[other].payload or b"")])
    for task_id in (mail, wipe):
        with pytest.raises(PayloadUndecodable, match="or belongs elsewhere"):
            await read(Sealed(swapped, sealed._keys), task_id)


async def test_a_document_under_another_key_does_not_open(store: MemoryEngine) -> None:
    sealed = Sealed(store, keys(a_key()))
    await sealed.put([Put("api_key", "admin", b"all"), Put("api_key", "guest", b"little")])
    [admin] = await store.get("api_key", ["admin"])
    assert admin is not None
    await store.put([Put("api_key", "guest", admin.body)])
    [guest] = await sealed.get("api_key", ["guest"])
    assert isinstance(guest, Document)
    with pytest.raises(PayloadUndecodable, match="or belongs elsewhere"):
        unsealed(guest.body)


async def test_a_search_in_messages_finds_no_letters_of_ciphertext(store: MemoryEngine) -> None:
    sealed = Sealed(store, keys(a_key()))
    lab = Lab(sealed, LabClock())
    for _ in range(20):
        claim = await lab.start()
        await lab.settle(claim, Failed(TaskError("builtins.ValueError", "the disk is full")))
    for letter in "qxzj":
        assert (await sealed.find(TaskQuery(error_contains=letter))).tasks == ()
    assert len((await sealed.find(TaskQuery(error_contains="valueerr"))).tasks) == 20


def test_a_session_of_a_sealed_engine_is_sealed(store: MemoryEngine) -> None:
    sealed = Sealed(store, keys(a_key()))
    session = sealed.session()
    assert isinstance(session, Sealed)
    assert not isinstance(stored(session), Sealed)
    assert stored(store) is store


def test_what_it_is_it_says_of_the_engine_inside(store: MemoryEngine) -> None:
    assert Sealed(store, keys(a_key())).info == store.info
