"""Nothing that is stored or received is ever run: an audit hook sees what is."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.conftest import Site, serve
from tests.security.gadgets import TRAP, Watch, corpus, sprung, trap
from tidemill import Tidemill, TidemillError
from tidemill.backup import backup, restore
from tidemill.codec import HEADER
from tidemill.configuration import load
from tidemill.engine import Put, TaskQuery
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import NotFound
from tidemill.node import Node
from tidemill.outcome import Completed, Failed
from tidemill.task import NewTask, State, Task, TaskError
from tidemill.testing.builders import new_task


@pytest.fixture(scope="session")
def watch() -> Watch:
    return Watch()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which the trap could be imported."""
    monkeypatch.syspath_prepend(str(trap(tmp_path)))
    yield tmp_path
    assert TRAP not in sys.modules
    assert not sprung(tmp_path)


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, folder: Path) -> Tidemill:
    app = Tidemill("memory://" if request.param == "memory" else f"sqlite:///{folder}/t.db")

    @app.task(name="echo")
    async def echo(value: Any = None) -> Any:
        return value

    @app.task(name="broken", max_attempts=1)
    async def broken(value: Any = None) -> None:
        raise type(TRAP, (Exception,), {"__module__": TRAP})(value)

    return app


@asynccontextmanager
async def working(app: Tidemill) -> AsyncIterator[None]:
    node = Node(app)
    running = asyncio.create_task(node.run())
    try:
        yield
    finally:
        node.drain()
        await running


async def looked_at(site: Site, task_id: str) -> None:
    """Read a task in every way there is."""
    for part in ("", "/result", "/executions", "/logs", "/progress"):
        answer = await site.client.get(f"/api/v1/tasks/{task_id}{part}")
        assert answer.status_code in {200, 409}, answer.text
    handle = site.app.handle(task_id)
    try:
        await handle.result(timeout=10)
    except TidemillError:
        await handle.get()


def test_the_watch_sees_what_it_must(watch: Watch, tmp_path: Path) -> None:
    import pickle

    [pickled, *_] = corpus(tmp_path)
    with watch.over():
        pickle.loads(base64.b64decode(pickled))  # noqa: S301  # the gadget has to work
    assert {event for event, _ in watch.seen} >= {"pickle.find_class", "os.system"}
    assert sprung(tmp_path)


async def test_payloads_results_and_errors_run_nothing(
    app: Tidemill, folder: Path, watch: Watch
) -> None:
    async with serve(app) as site, working(app):
        with watch.over():
            for value in corpus(folder):
                for task_type in ("echo", "broken"):
                    body = {"task_type": task_type, "payload": {"value": value}}
                    task = await site.ask(
                        "POST", "/tasks", 201, body, headers={"Prefer": "wait=20"}
                    )
                    assert task["status"] in {"completed", "failed"}
                    await looked_at(site, task["task_id"])
                    if task["status"] == "completed":
                        assert task["result"] == value
    assert watch.seen == []


async def test_names_run_nothing(app: Tidemill, folder: Path, watch: Watch) -> None:
    names = [
        "os:system",
        "os.system",
        f"{TRAP}:Thing",
        f"{TRAP}.Thing",
        "builtins.eval",
        "__main__",
    ]
    async with serve(app) as site, working(app):
        with watch.over():
            for name in names:
                told = await site.ask("POST", "/tasks", 422, {"task_type": name, "payload": {}})
                assert told["type"] == "unknown-task-type"
            engine = await app.engine()
            tasks = [new_task(task_type=name) for name in names]
            await engine.enqueue(tasks)
            # A task that the worker knows, behind them: when it has run they were passed over.
            await (await app.function("echo").enqueue(1)).result(timeout=20)
            page = await engine.find(TaskQuery(ids=tuple(task.id for task in tasks)))
    assert {task.state for task in page.tasks} == {State.PENDING}
    assert watch.seen == []


def stored_bytes(folder: Path) -> list[bytes]:
    """Bodies that a writer of the store could have left, in and without our envelope."""
    plain = [json.dumps(value).encode() for value in corpus(folder)]
    raw = base64.b64decode(corpus(folder)[0])
    others = [bytes([1, codec, 0]) + raw for codec in b"PYM"]
    return [*plain, *(HEADER + each for each in plain), raw, HEADER + raw, *others]


async def test_bytes_that_somebody_else_stored_run_nothing(
    app: Tidemill, folder: Path, watch: Watch
) -> None:
    engine = await app.engine()
    stored = stored_bytes(folder)
    finals: list[Task] = []
    for number, body in enumerate(stored):
        await engine.enqueue([new_task(task_type="hand", payload=body, queue=f"q{number}")])
    with watch.over():
        await engine.enqueue(
            [NewTask(id=app.new_id("default"), task_type="echo", payload=each) for each in stored]
        )
        async with serve(app) as site, working(app):
            page = await engine.find(TaskQuery(task_types=frozenset({"echo"}), limit=500))
            for task in page.tasks:
                await looked_at(site, task.id)
            finals = list(
                (await engine.find(TaskQuery(task_types=frozenset({"echo"}), limit=500))).tasks
            )
    assert {task.state.final for task in finals} == {True}
    assert watch.seen == []


async def test_results_and_errors_of_a_foreign_worker_run_nothing(
    app: Tidemill, folder: Path, watch: Watch
) -> None:
    async with serve(app) as site:
        ids = []
        with watch.over():
            for body in stored_bytes(folder):
                handle = await app.function("echo").enqueue(1)
                await site.hand.settle(await site.hand.take(), Completed(body))
                ids.append(handle.id)
            for kind in ("os.system", f"{TRAP}.Thing", "builtins.exec", "subprocess:Popen"):
                handle = await app.function("echo").enqueue(1)
                error = TaskError(kind, f"touch {folder}/{TRAP}.sprung", "x", "f" * 16)
                await site.hand.settle(await site.hand.take(), Failed(error))
                ids.append(handle.id)
            for task_id in ids:
                await looked_at(site, task_id)
    assert watch.seen == []


async def test_schedules_and_documents_run_nothing(
    app: Tidemill, folder: Path, watch: Watch
) -> None:
    kinds = (
        "schedule",
        "queue",
        "worker",
        "webhook",
        "alert",
        "silence",
        "api_key",
        "session",
        "audit",
    )
    async with serve(app) as site:
        with watch.over():
            for number, value in enumerate(corpus(folder)):
                body = {
                    "name": f"s{number}",
                    "task_type": "echo",
                    "every": 3600,
                    "payload": {"value": value},
                }
                await site.ask("POST", "/scheduled-tasks", 201, body)
                await site.ask("POST", f"/scheduled-tasks/s{number}/run", 201)
                text = value if isinstance(value, str) else json.dumps(value)
                cron = {"name": "cron", "task_type": "echo", "cron_expr": text[:200]}
                await site.ask("POST", "/scheduled-tasks", 422, cron)
            engine = await app.engine()
            for kind in kinds:
                puts = [
                    Put(kind, f"foreign{number}", body)
                    for number, body in enumerate(stored_bytes(folder))
                ]
                await engine.put(puts)
            for path in (
                "workers",
                "alerts",
                "alerts/silences",
                "audit",
                "keys",
                "webhooks",
                "queues",
            ):
                answer = await site.client.get(f"/api/v1/{path}")
                assert answer.status_code in {200, 500, 422}, f"{path}: {answer.text}"
    assert watch.seen == []


async def test_a_configuration_and_a_backup_run_nothing(folder: Path, watch: Watch) -> None:
    with watch.over():
        for value in corpus(folder):
            file = folder / "tidemill.yaml"
            file.write_text(
                f"engine:\n  url: {value if isinstance(value, str) else json.dumps(value)}\n",
                "utf-8",
            )
            assert load(file, {}).mistakes or load(file, {}).configuration.engine.url
        engine = MemoryEngine()
        await engine.enqueue([new_task(payload=body) for body in stored_bytes(folder)])
        saved = folder / "saved.gz"
        await backup(engine, saved)
        other = MemoryEngine()
        await restore(other, saved)
        for value in corpus(folder):
            (folder / "gadget.gz").write_bytes(msgspec.json.encode(value))
            with pytest.raises(TidemillError):
                await restore(other, folder / "gadget.gz")
    assert watch.seen == []


async def test_webhooks_run_nothing(app: Tidemill, folder: Path, watch: Watch) -> None:
    """What a webhook is told, and what its receiver answers, are data."""
    with watch.over():
        for value in corpus(folder):
            made = await app.webhooks.create("https://example.org/hook", name="gadget")
            webhook_id = made.webhook.id
            await app.webhooks.notify("gadget.seen", {"value": value}, webhook_id=webhook_id)
            await app.webhooks.delete(webhook_id)
        with pytest.raises(NotFound):
            await app.webhooks.get(f"{TRAP}:Thing")
    assert watch.seen == []
    await app.close()
