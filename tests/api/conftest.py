"""An application behind a real HTTP server on a free loopback port, and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import Hand
from tidemill import Context, Retention, Scope, Tidemill
from tidemill.access import EVERYONE, FULL, Tenant
from tidemill.api import Authenticate, create_api
from tidemill.api.server import listen, serving, url_of
from tidemill.clock import SystemClock
from tidemill.ids import IdMaker
from tidemill.node import Node
from tidemill.retry import RetryPolicy

PREFIX = "/api/v1"


class Site:
    """A server, its application, a client below `/api/v1`, and a worker's part."""

    def __init__(self, app: Tidemill, client: httpx.AsyncClient, url: str) -> None:
        self.app = app
        self.client = client
        self.url = url
        self.hand = Hand(app, SystemClock(), IdMaker())  # type: ignore[arg-type]  # claims need no clock

    async def ask(self, method: str, path: str, status: int, body: Any = None, **more: Any) -> Any:
        """The JSON of an answer, which must have this status."""
        if body is not None:
            more["json"] = body
        answer = await self.client.request(method, PREFIX + path, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def submit(self, task_type: str = "content_generation", **more: Any) -> dict[str, Any]:
        """A submitted task."""
        payload = more.pop("payload", {"topic": "AI"} if task_type == "content_generation" else {})
        body = {"task_type": task_type, "payload": payload, **more}
        task: dict[str, Any] = await self.ask("POST", "/tasks", 201, body)
        return task

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker of the application runs as long as the context is open."""
        node = Node(self.app)
        running = asyncio.create_task(node.run())
        try:
            yield
        finally:
            node.drain()
            await running


@dataclass(frozen=True)
class Problem:
    """What a client reads of a refusal."""

    type: str
    fields: tuple[str, ...]


def problem(answer: httpx.Response) -> Problem:
    """The problem details of an answer, which must be one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told.keys() == {"type", "title", "status", "detail", "errors"}
    assert told["status"] == answer.status_code
    assert told["title"]
    assert told["detail"]
    return Problem(told["type"], tuple(each["field"] for each in told["errors"]))


def application(url: str) -> Tidemill:
    app = Tidemill(url)

    @app.task(name="content_generation", queue="processing")
    async def content_generation(topic: str, style: str = "", length: int = 0) -> dict[str, Any]:
        return {"content": f"{topic} {style} {length}"}

    @app.task(name="report_generation", queue="processing", max_attempts=1)
    async def report_generation(report_type: str) -> str:
        return report_type

    @app.task(name="broken", retry=RetryPolicy(), max_attempts=1)
    async def broken(why: str = "because") -> None:
        raise ValueError(why)

    @app.task(name="steps")
    async def steps(ctx: Context, count: int = 4) -> int:
        for number in range(1, count + 1):
            await ctx.step("下载", number, count, f"step {number}")
        return count

    @app.task(name="echo", retention=Retention())
    async def echo(value: Any = None) -> Any:
        return value

    @app.task(name="alone", unique="alone:{name}")
    async def alone(name: str) -> None: ...

    return app


async def key_header(
    app: Tidemill, *scopes: Scope, tenant: Tenant = EVERYONE, name: str = "tests", **said: Any
) -> dict[str, str]:
    """The header of a new API key; without scopes one that may do everything."""
    made = await app.keys.create(name, scopes or FULL, tenant=tenant, **said)
    return {"Authorization": f"Bearer {made.text}"}


@asynccontextmanager
async def serve(app: Tidemill, authenticate: Authenticate | None = None) -> AsyncIterator[Site]:
    """A site of this application, with a client that may do everything."""
    listening = listen("127.0.0.1", 0)
    headers = await key_header(app) if authenticate is None else {}
    async with (
        serving(create_api(app, authenticate), listening, end=lambda: None),
        httpx.AsyncClient(base_url=url_of(listening), headers=headers, timeout=30) as client,
    ):
        yield Site(app, client, url_of(listening))
    await app.close()


OpenSite = Callable[[], AbstractAsyncContextManager[Site]]


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture(params=["memory", "sqlite"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> OpenSite:
    """Opens a site on one kind of engine."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'tasks.db'}"

    return lambda: serve(application(url))
