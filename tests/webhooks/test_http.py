"""Webhooks over HTTP: who may make them, what is shown of them, and what is refused."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.outbound.receiver import receiving
from tests.webhooks.conftest import running
from tidemill import Access, Scope, Tenant, Tidemill
from tidemill.access import EVERYONE
from tidemill.api import create_api
from tidemill.webhooks import verify


@asynccontextmanager
async def asking(
    app: Tidemill, *scopes: Scope, tenant: Tenant = EVERYONE
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with these scopes."""

    async def authenticate(scope: Mapping[str, Any]) -> Access:
        return Access(who="test", subject="test", scopes=frozenset(scopes), tenant=tenant)

    transport = httpx.ASGITransport(create_api(app, authenticate))
    address = "http://localhost/api/v1"
    async with httpx.AsyncClient(transport=transport, base_url=address) as client:
        yield client


async def test_a_webhook_is_made_changed_tested_and_deleted(app: Tidemill) -> None:
    async with receiving() as receiver, asking(app, Scope.ADMIN) as client:
        made = await client.post("/webhooks", json={"url": receiver.url(), "queue_names": ["work"]})
        assert made.status_code == 201
        secret, record = made.json()["secret"], made.json()["webhook"]
        assert record["events"] == ["task.cancelled", "task.completed", "task.failed"]
        at = f"/webhooks/{record['webhook_id']}"
        assert made.headers["location"] == f"/api/v1{at}"
        read = await client.get(at)
        assert read.json() == record
        changed = await client.patch(
            at, json={"name": "shop"}, headers={"If-Match": read.headers["etag"]}
        )
        assert (changed.status_code, changed.json()["name"]) == (200, "shop")
        late = await client.patch(at, json={"name": "x"}, headers={"If-Match": '"1"'})
        assert late.status_code == 412
        async with running(app):
            sent = await client.post(f"{at}/test")
            assert sent.status_code == 202
            [got] = await receiver.until_count(1)
            assert verify(secret, got.headers, got.body)["type"] == "webhook.test"
        rotated = await client.post(f"{at}/rotate")
        assert rotated.json()["secret"] != secret
        listed = (await client.get(f"{at}/deliveries")).json()
        assert [each["task_id"] for each in listed["tasks"]] == [sent.json()["task_id"]]
        everything = (await client.get("/webhooks")).json()["webhooks"]
        assert [each["name"] for each in everything] == ["shop"]
        assert (await client.delete(at)).status_code == 204
        for method, path in (("GET", at), ("PATCH", at), ("POST", f"{at}/test")):
            gone = await client.request(method, path, json={} if method == "PATCH" else None)
            assert (gone.status_code, gone.json()["type"]) == (404, "webhook-not-found")


async def test_one_that_is_active_again_begins_anew(app: Tidemill) -> None:
    async with asking(app, Scope.ADMIN) as client:
        made = (await client.post("/webhooks", json={"url": "https://example.org/"})).json()
        at = f"/webhooks/{made['webhook']['webhook_id']}"
        paused = await client.patch(at, json={"is_active": False, "user_id": "ana"})
        assert (paused.json()["is_active"], paused.json()["user_id"]) == (False, "ana")
        again = await client.patch(at, json={"is_active": True, "user_id": None})
        assert (again.json()["is_active"], again.json()["user_id"]) == (True, None)


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://169.254.169.254/", "ftp://x.org/"])
async def test_a_url_that_leads_inside_is_refused(url: str, app: Tidemill) -> None:
    async with asking(app, Scope.ADMIN) as client:
        answer = await client.post("/webhooks", json={"url": url})
        assert (answer.status_code, answer.json()["type"]) == (422, "outbound-refused")
        assert answer.json()["errors"][0]["field"] == "url"


async def test_an_event_that_there_is_not_is_refused(app: Tidemill) -> None:
    async with asking(app, Scope.ADMIN) as client:
        answer = await client.post(
            "/webhooks", json={"url": "https://example.org/", "events": ["task.exploded"]}
        )
        assert (answer.status_code, answer.json()["type"]) == (422, "config-invalid")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/webhooks"),
        ("GET", "/webhooks"),
        ("GET", "/webhooks/x"),
        ("PATCH", "/webhooks/x"),
        ("DELETE", "/webhooks/x"),
        ("POST", "/webhooks/x/rotate"),
        ("POST", "/webhooks/x/test"),
        ("GET", "/webhooks/x/deliveries"),
    ],
)
async def test_only_an_administrator_of_everything_may(
    method: str, path: str, app: Tidemill
) -> None:
    async with asking(app, Scope.OPERATE, Scope.SUBMIT, Scope.PAYLOADS) as client:
        assert (await client.request(method, path)).status_code == 403
    async with asking(app, Scope.ADMIN, tenant=Tenant(user_id="ana")) as client:
        assert (await client.request(method, path)).status_code == 403


async def test_the_audit_tells_of_a_webhook_without_its_secret_and_without_its_path(
    app: Tidemill,
) -> None:
    async with asking(app, Scope.ADMIN) as client:
        url = "https://example.org/canary?token=canary"
        made = (await client.post("/webhooks", json={"url": url})).json()
        at = f"/webhooks/{made['webhook']['webhook_id']}"
        await client.patch(at, json={"events": ["task.failed"]})
        await client.post(f"{at}/rotate")
        await client.delete(at)
        told = (await client.get("/audit")).text
    assert "rotate_webhook" in told
    assert "https://example.org" in told
    assert "canary" not in told
    assert "whsec_" not in told
