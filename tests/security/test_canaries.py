"""With everything switched on, canary secrets are found nowhere where anything is told."""

import asyncio
import io
import logging
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.alerts.conftest import QUIET
from tests.alerts.inbox import Inbox
from tests.alerts.inbox import receiving as mailbox
from tests.api.conftest import PREFIX, Site, key_header, serve
from tests.outbound.receiver import Receiver, receiving
from tests.security.canaries import OPEN, Canaries, application, canary, found
from tests.servers.server import Server, server
from tests.worker.facts import begun
from tidemill import (
    AlertRule,
    AlertSettings,
    Event,
    Scope,
    Settings,
    TaskCancelledError,
    TaskFailedError,
    Tidemill,
    WebhookSettings,
)
from tidemill.alert import AlertEmail
from tidemill.api import operations
from tidemill.engine import TaskQuery
from tidemill.observe.logs import Form, configure_logs
from tidemill.observe.tracing import trace

LOOPBACK = WebhookSettings(allow_networks=("127.0.0.0/8",), allow_http=True)
HERE = {"Sec-Fetch-Site": "same-origin"}
PATIENCE = 30.0
CLIENTS = ("httpx", "httpcore", "mail.log")
"""Loggers of the tests' own client and mail server, which tell of what the tests do."""

READERS: dict[str, frozenset[Scope]] = {
    "view": frozenset({Scope.VIEW}),
    "submit": frozenset({Scope.SUBMIT}),
    "operate": frozenset({Scope.OPERATE}),
    "admin": frozenset({Scope.ADMIN}),
    "payloads": frozenset({Scope.ADMIN, Scope.PAYLOADS}),
}


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets nobody in without its password, which is a canary too."""
    config = {"requirepass": canary("requirepass")}
    with server(tmp_path_factory.mktemp("valkey"), config=config) as made:
        yield made


@dataclass
class Mine:
    """An application at work with all that tells of it, and what was told, place by place."""

    site: Site
    canaries: Canaries
    receiver: Receiver
    inbox: Inbox
    secrets: dict[str, str]
    places: dict[str, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)

    @property
    def app(self) -> Tidemill:
        return self.site.app


@asynccontextmanager
async def mine(url: str, form: Form) -> AsyncIterator[Mine]:
    """A site, a worker, a scheduler, webhooks, alerts by mail, traces, metrics, logs."""
    lines, spans, provider = io.StringIO(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    undo = configure_logs(form, "debug", "up", stream=lines)
    for name in CLIENTS:
        logging.getLogger(name).setLevel("WARNING")
    inbox = Inbox(0)
    events: list[str] = []
    secrets = {each: canary(each) for each in ("smtp", "engine")}
    try:
        with mailbox(inbox) as port:
            email = AlertEmail(
                host="127.0.0.1",
                port=port,
                sender="a@example.org",
                to=("b@example.org",),
                encryption="none",
            )
            rules = {**QUIET, "failed_tasks": AlertRule(alarm=0)}
            alerts = AlertSettings(every=0.1, email=email, rules=rules)
            app = application(url, Settings(webhooks=LOOPBACK, alerts=alerts))
            app.on(Event)(lambda event: events.append(repr(event)))
            trace(app, provider)
            async with serve(app) as site, receiving() as receiver, site.working():
                here = Mine(site, Canaries(), receiver, inbox, secrets)
                yield here
        here.places |= {
            "logs": lines.getvalue(),
            "events": "\n".join(events),
            "spans": "\n".join(each.to_json() for each in spans.get_finished_spans()),
            "mails": "\n".join(each.as_string() for each in inbox.mails),
            "webhooks": "\n".join(f"{each.target} {each.body!r}" for each in receiver.got),
        }
    finally:
        undo()
        for name in CLIENTS:
            logging.getLogger(name).setLevel("NOTSET")


async def everything_happens(here: Mine) -> None:
    """Canaries go in wherever something goes in."""
    ask, payload = here.site.ask, here.canaries.payload
    made = await ask("POST", "/webhooks", 201, {"url": here.receiver.url()})
    here.secrets["webhook"] = made["secret"].removeprefix("whsec_")
    hook = made["webhook"]["webhook_id"]
    rotated = await ask("POST", f"/webhooks/{hook}/rotate", 200)
    here.secrets["rotated"] = rotated["secret"].removeprefix("whsec_")
    for task_type in ("raises", "raises_on_a_thread", "gives", "gives_by_name"):
        body = {"task_type": task_type, "payload": payload, "tags": [OPEN]}
        headers = {"Idempotency-Key": task_type, "Prefer": "wait=20"}
        task = await ask("POST", "/tasks", 201, body, headers=headers)
        assert task["status"] in {"completed", "failed"}, task
        here.places[f"submit {task_type}"] = msgspec.json.encode(task).decode()
        here.tasks.append(task["task_id"])
    again = await ask("POST", f"/tasks/{here.tasks[0]}/retry", 201, {"payload": payload})
    here.tasks.append(again["task_id"])
    schedule = {"name": "nightly", "task_type": "raises", "every": 3600, "payload": payload}
    here.places["schedule"] = str(await ask("POST", "/scheduled-tasks", 201, schedule))
    fired = await ask("POST", "/scheduled-tasks/nightly/run", 201)
    here.tasks.append(fired["task_id"])
    here.places["refused"] = str(
        await ask("POST", "/tasks", 422, {"task_type": "raises", "payload": payload | {"no": 1}})
    )
    waits = await ask("POST", "/tasks", 201, {"task_type": "waits", "payload": payload})
    task = await begun(await here.app.engine(), waits["task_id"])
    assert task.progress is not None
    assert OPEN in task.progress.message
    await ask("POST", f"/tasks/{task.id}/cancel", 202, {"reason": OPEN})
    here.tasks.append(task.id)
    flow = here.app.workflow("flow")
    first = flow.add(here.app.function("gives").call(**payload))
    flow.add(here.app.function("raises").call(**payload), after=[first])
    run = await flow.enqueue()
    here.tasks.append(run.id)
    for task_id in here.tasks[4:]:
        with pytest.raises((TaskFailedError, TaskCancelledError)) as raised:
            await here.app.handle(task_id).result(PATIENCE)
        here.places[f"error of {task_id}"] = f"{raised.value!r} {raised.value}"
    async with asyncio.timeout(PATIENCE):
        while not here.inbox.mails:
            here.inbox.arrived.clear()
            await here.inbox.arrived.wait()
    await here.receiver.until(lambda got: any(b"task.failed" in each.body for each in got))


def paths(here: Mine, names: Mapping[str, Collection[str]], path: str) -> list[str]:
    """A route's path for everything that there is."""
    [*wanted] = re.findall(r"\{(\w+)\}", path)
    if not wanted:
        return [path]
    [name] = wanted
    return [path.replace(f"{{{name}}}", each) for each in names[name]]


async def read_everything(here: Mine) -> None:
    """Every GET route of the interface, with a key of every scope, and every page."""
    app, client = here.app, here.site.client
    [hook] = await app.webhooks.list()
    names: dict[str, Collection[str]] = {
        "task_id": here.tasks,
        "workflow_id": here.tasks[-1:],
        "webhook_id": [hook.webhook.id],
        "queue_name": ["mine", "tidemill.webhooks"],
        "name": ["nightly"],
    }
    for reader, scopes in READERS.items():
        headers = await key_header(app, *scopes, name=reader)
        here.secrets[f"key of {reader}"] = headers["Authorization"].split("_", 2)[2]
        for each in operations():
            if each.method != "GET" or each.path == "/events":
                continue
            for path in paths(here, names, each.prefix + each.path):
                answer = await client.get(path, headers=headers)
                assert answer.status_code in {200, 403, 409}, f"{reader} {path}: {answer.text}"
                here.places[f"{reader} GET {path}"] = f"{answer.headers} {answer.text}"
    for path in (
        "/tasks?error_contains=" + OPEN,
        "/tasks/" + here.tasks[0] + "?big_integers=string",
    ):
        here.places[path] = str(await here.site.ask("GET", path, 200))
    async with httpx.AsyncClient(base_url=here.site.url) as browser:
        here.secrets["link"] = await app.logins.create("login:ana")
        done = await browser.post("/login", data={"token": here.secrets["link"]}, headers=HERE)
        here.secrets["session"] = done.headers["set-cookie"].partition("=")[2].partition(";")[0]
        for path in ("/", "/login", "/api/v1/me", f"/api/v1/tasks/{here.tasks[0]}"):
            answer = await browser.get(path)
            assert answer.status_code == 200
            here.places[f"page {path}"] = f"{answer.headers} {answer.text}"
    engine = await app.engine()
    page = await engine.feed("", 10_000, timedelta())
    here.places["feed"] = str(page)
    found_tasks = (await engine.find(TaskQuery(details=True, limit=500))).tasks
    shown = [msgspec.structs.replace(each, payload=b"", result=None) for each in found_tasks]
    here.places["records but for payloads and results"] = str(shown)
    for kind in ("audit", "idempotency", "alert", "worker", "api_key", "login", "session"):
        here.places[f"documents {kind}"] = str(await engine.documents(kind))


@asynccontextmanager
async def following(here: Mine) -> AsyncIterator[None]:
    """Follow the live events all the while."""
    said = io.StringIO()
    listening = asyncio.Event()

    async def follow() -> None:
        async with here.site.client.stream("GET", f"{PREFIX}/events") as answer:
            assert answer.status_code == 200
            listening.set()
            async for line in answer.aiter_lines():
                said.write(line)

    task = asyncio.create_task(follow())
    async with asyncio.timeout(PATIENCE):
        await listening.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    here.places["live events"] = said.getvalue()


@pytest.mark.parametrize(
    ("kind", "form"), [("memory", "console"), ("sqlite", "json"), ("valkey", "console")]
)
async def test_canaries_are_found_nowhere_while_everything_tells_of_them(
    kind: str, form: Form, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    urls: dict[str, Callable[[], str]] = {
        "memory": lambda: "memory://",
        "sqlite": lambda: f"sqlite:///{tmp_path}/mine.db",
        "valkey": lambda: request.getfixturevalue("valkey").url,
    }
    url = urls[kind]()
    async with mine(url, form) as here:
        if kind == "valkey":
            here.secrets["engine"] = url.partition(":")[2].partition("@")[0].rpartition(":")[2]
        async with following(here):
            await everything_happens(here)
        await read_everything(here)
    hidden = [*here.canaries.hidden, *here.secrets.values()]
    assert min(map(len, hidden)) >= 16
    assert found(here.places, hidden) == []
    # Payloads and results are for those who may read them, and error texts for all who may look.
    covered = {place for place, _ in found(here.places, [here.canaries.covered])}
    readers = {place.partition(" ")[0] for place in covered if " GET " in place}
    assert readers == {"payloads"}
    assert covered.isdisjoint({"logs", "events", "spans", "mails", "webhooks", "feed"})
    for place in ("logs", "feed", "live events", f"view GET {PREFIX}/tasks/{here.tasks[0]}"):
        assert OPEN in here.places[place], place
    for place in (f"/tasks/{here.tasks[0]}/logs", f"/tasks/{here.tasks[0]}/executions"):
        assert OPEN in here.places[f"view GET {PREFIX}{place}"]
    for place in ("events", "spans", "mails", "webhooks", "view GET /metrics"):
        assert "raises" in here.places[place], place
    assert "create_scheduled_task" in here.places[f"admin GET {PREFIX}/audit"]
