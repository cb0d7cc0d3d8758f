"""Nothing that is stored or received is ever run: an audit hook sees what is."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import msgspec
import pytest

from tests.api.conftest import Site, application, serve
from tests.engines.makers import Servers
from tests.outbound.receiver import Reply, receiving
from tests.security.gadgets import TRAP, Watch, corpus, sprung, trap
from tidemill import Settings, Tidemill, TidemillError, WebhookSettings
from tidemill.access import FULL
from tidemill.api import create_api
from tidemill.backup import backup, restore
from tidemill.codec import HEADER
from tidemill.configuration import load
from tidemill.configuration.sections import Jwt
from tidemill.engine import Put, TaskQuery
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import NotFound
from tidemill.node import Node
from tidemill.outcome import Completed, Failed
from tidemill.task import NewTask, State, Task, TaskError
from tidemill.testing.builders import new_task

KINDS = (
    *("schedule", "queue", "declared_queues", "worker", "webhook", "webhooks", "alert", "failing"),
    *("silence", "api_key", "login", "session", "audit", f"audit:{datetime.now(UTC).date()}"),
    *("idempotency", "concurrency"),
)
"""The kinds of documents that Tidemill reads."""

LISTS = (
    *("/workers", "/alerts", "/alerts/silences", "/audit", "/keys", "/webhooks", "/queues"),
    *("/scheduled-tasks", "/scheduler/statistics", "/me", "/tasks"),
)


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
            await site.ask("POST", "/queues", 201, {"name": "ours"})
            for kind in KINDS:
                puts = [
                    Put(kind, f"foreign{number}", body)
                    for number, body in enumerate(stored_bytes(folder))
                ]
                await engine.put(puts)
            for path in LISTS:
                await site.ask("GET", path, 200)
            [entry] = (await site.ask("GET", "/audit?action=create_queue", 200))["entries"]
            assert entry["subject"] == {"queue_name": "ours"}
            assert await app.audit.prune(timedelta(0)) > 0
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


SECRET = "a secret of more than thirty-two bytes"
HEADERS = (
    *("Authorization", "X-API-Key", "Cookie", "Idempotency-Key", "traceparent", "tracestate"),
    *("Prefer", "If-None-Match", "Last-Event-ID", "X-Request-ID", "X-Forwarded-For", "Origin"),
)


def header(value: Any) -> bytes:
    """A gadget as far as a header can carry it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(each for each in text if each.isprintable())[:4000].encode("latin-1", "replace")


def tokens(value: Any) -> list[str]:
    """Tokens with a gadget in their claims, signed by ourselves, and in their header, by nobody."""
    exp = datetime.now(UTC) + timedelta(hours=1)
    text = value if isinstance(value, str) else json.dumps(value)
    claims = {"sub": text, "exp": exp, "scope": f"admin {text}", "user_id": text}
    unsigned = jwt.encode(claims, "", "none", {"kid": text, "jku": text, "x5u": text})
    return [jwt.encode(claims, SECRET, headers={"kid": text}), unsigned]


async def test_headers_run_nothing(app: Tidemill, folder: Path, watch: Watch) -> None:
    api = create_api(app, jwt=Jwt(secret=SECRET))
    key = (await app.keys.create("tests", FULL)).text
    body = {"task_type": "echo", "payload": {}}
    transport = httpx.ASGITransport(app=api)
    statuses = set()
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with watch.over():
            for value in corpus(folder):
                for name in HEADERS:
                    raw = [(b"X-API-Key", key.encode()), (name.encode(), header(value))]
                    answer = await client.post("/api/v1/tasks", json=body, headers=raw[-2:])
                    statuses.add(answer.status_code)
                    answer = await client.get("/api/v1/tasks", headers=raw)
                    statuses.add(answer.status_code)
                for prefix in (b"Bearer ", b"tidemill="):
                    name = "Cookie" if prefix == b"tidemill=" else "Authorization"
                    raw = [(name.encode(), prefix + header(value))]
                    answer = await client.get("/api/v1/me", headers=raw)
                    assert answer.status_code == 401
                for token in tokens(value):
                    authorization = {"Authorization": f"Bearer {token}"}
                    answer = await client.get("/api/v1/audit", headers=authorization)
                    statuses.add(answer.status_code)
    assert statuses <= {200, 201, 400, 401, 403, 422}, statuses
    assert {200, 201, 401} <= statuses
    assert watch.seen == []
    await app.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.close()


@pytest.mark.parametrize("kind", ["sqlite", "valkey"])
async def test_texts_of_queries_are_data(kind: str, servers: Servers, folder: Path) -> None:
    """What finds a task is its own text, and no text finds, changes or removes others."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder}/t.db"
        if kind == "valkey":
            url = stack.enter_context(servers.addresses("valkey"))()
        async with serve(application(url)) as site:
            texts = [header(value).decode("latin-1")[:180] for value in corpus(folder)]
            for text in texts:
                said = {"user_id": text, "project_id": text}
                await site.submit("echo", payload={"value": text}, **said)
            for text in texts:
                for name in ("user_id", "project_id"):
                    told = await site.ask("GET", "/tasks", 200, params={name: text})
                    assert {task[name] for task in told["tasks"]} == {text}
                for name in ("tag", "error_contains", "task_type", "queue_name", "cursor"):
                    answer = await site.client.get("/api/v1/tasks", params={name: text})
                    assert answer.status_code in {200, 400, 404, 422}, answer.text
                    assert not answer.json().get("tasks")
            assert (await site.ask("GET", "/tasks", 200))["total"] == len(texts)


async def test_what_a_receiver_of_webhooks_answers_runs_nothing(folder: Path, watch: Watch) -> None:
    webhooks = WebhookSettings(allow_networks=("127.0.0.0/8",), allow_http=True)
    app = Tidemill("memory://", settings=Settings(webhooks=webhooks))
    replies = [
        Reply(
            status,
            (
                ("Content-Type", "application/x-python-serialize"),
                ("Retry-After", header(value).decode("latin-1")),
                ("Set-Cookie", header(value).decode("latin-1")),
                ("Location", header(value).decode("latin-1")),
            ),
            body,
        )
        for value, body in zip(corpus(folder), stored_bytes(folder), strict=False)
        for status in (200, 307, 503)
    ]
    async with receiving(*replies) as receiver, working(app):
        with watch.over():
            made = await app.webhooks.create(receiver.url(), name="gadget")
            for _ in replies:
                handle = await app.webhooks.test(made.webhook.id)
                try:
                    await handle.result(timeout=20)
                except TidemillError:
                    await handle.get()
        assert len(receiver.got) == len(replies)
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
