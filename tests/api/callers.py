"""A site that is closed, and callers with keys of their own."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.api.conftest import PREFIX, application
from tests.app.conftest import Hand
from tidemill import Tidemill
from tidemill.access import EVERYONE, FULL, Scope, Tenant
from tidemill.api import create_api
from tidemill.api.server import listen, serving, url_of
from tidemill.clock import SystemClock
from tidemill.ids import IdMaker
from tidemill.outcome import Failed
from tidemill.task import TaskError

ANA = Tenant(user_id="ana")
BOB = Tenant(user_id="bob")
USER = frozenset({Scope.SUBMIT, Scope.OPERATE, Scope.PAYLOADS})
"""What the key of a tenant usually allows."""


class Caller:
    """Somebody with a key, or with none."""

    def __init__(self, client: httpx.AsyncClient, key: str | None) -> None:
        self._client = client
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Any answer."""
        headers = self.headers | more.pop("headers", {})
        if body is not None:
            more["json"] = body
        return await self._client.request(method, path, headers=headers, **more)

    async def ask(self, method: str, path: str, status: int, body: Any = None, **more: Any) -> Any:
        """The JSON of an answer below `/api/v1`, which must have this status."""
        answer = await self.send(method, PREFIX + path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def submit(self, task_type: str = "echo", **more: Any) -> dict[str, Any]:
        """A submitted task."""
        task: dict[str, Any] = await self.ask(
            "POST", "/tasks", 201, {"task_type": task_type} | more
        )
        return task


class House:
    """A closed site: its application, a client of it, a worker's part."""

    def __init__(self, app: Tidemill, client: httpx.AsyncClient, url: str) -> None:
        self.app = app
        self.client = client
        self.url = url
        self.hand = Hand(app, SystemClock(), IdMaker())  # type: ignore[arg-type]  # claims need no clock

    async def caller(
        self, scopes: Collection[Scope] = FULL, tenant: Tenant = EVERYONE, name: str = "test"
    ) -> Caller:
        """A caller with a new key."""
        made = await self.app.keys.create(name, scopes, tenant=tenant)
        return Caller(self.client, made.text)

    async def revoked(self) -> Caller:
        """A caller whose key allowed everything, and was revoked."""
        made = await self.app.keys.create("revoked", FULL)
        await self.app.keys.revoke(made.key.id)
        return Caller(self.client, made.text)

    def nobody(self, key: str | None = None) -> Caller:
        """A caller with this key."""
        return Caller(self.client, key)

    async def fail(self) -> str:
        """Let the next task fail; answers the fingerprint of its error."""
        claim = await self.hand.take()
        await self.hand.settle(claim, Failed(TaskError("ValueError", "canary-of-bob", "", "f00d")))
        return "f00d"


@asynccontextmanager
async def house(url: str) -> AsyncIterator[House]:
    """A closed site on an engine."""
    app = application(url)
    listening = listen("127.0.0.1", 0)
    async with (
        serving(create_api(app), listening, end=lambda: None),
        httpx.AsyncClient(base_url=url_of(listening), timeout=30) as client,
    ):
        yield House(app, client, url_of(listening))
    await app.close()
