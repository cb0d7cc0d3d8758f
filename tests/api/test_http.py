"""What every route does: refusals, sizes, mounting, the document."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.api.conftest import OpenSite, application, problem, serve
from tidemill import Tidemill
from tidemill.api import create_api, openapi_document, operations, trusted
from tidemill.api.examples import EXAMPLES
from tidemill.api.limits import SMALL_BODY
from tidemill.api.openapi import shapes_of
from tidemill.api.routing import operation_of
from tidemill.api.server import listen, serving, url_of

FORM = {"task_type": "echo", "payload": {"value": 1}}


async def test_an_address_or_method_that_is_not_there_is_a_problem(site: OpenSite) -> None:
    async with site() as here:
        answer = await here.client.get("/api/v1/nothing")
        assert (answer.status_code, problem(answer).type) == (404, "route-not-found")
        answer = await here.client.put("/api/v1/tasks", json={})
        assert (answer.status_code, problem(answer).type) == (405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) >= {"GET", "POST"}


async def test_a_body_must_be_json_and_say_so(site: OpenSite) -> None:
    async with site() as here:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            answer = await here.client.post(
                "/api/v1/tasks", content=b"{}", headers={"Content-Type": kind}
            )
            assert (answer.status_code, problem(answer).type) == (415, "unsupported-media-type")
        for kind in ("application/json; charset=utf-8", "application/vnd.tidemill+json"):
            answer = await here.client.post(
                "/api/v1/tasks", content=msgspec.json.encode(FORM), headers={"Content-Type": kind}
            )
            assert answer.status_code == 201
        answer = await here.client.post(
            "/api/v1/tasks", content=b"{", headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, problem(answer).type) == (400, "malformed-json")


async def test_a_body_has_a_size_said_or_not(site: OpenSite) -> None:
    async def piecemeal(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 1024):
            yield b" " * 1024

    headers = {"Content-Type": "application/json"}
    async with site() as here:
        for size in (2 * 1024 * 1024, 2 * SMALL_BODY):
            path = "/api/v1/tasks" if size > 1024 * 1024 else "/api/v1/queues"
            for content in (b" " * size, piecemeal(size)):
                answer = await here.client.post(path, content=content, headers=headers)
                assert (answer.status_code, problem(answer).type) == (413, "body-too-large")
        answer = await here.client.post(
            "/api/v1/tasks", json={"task_type": "echo", "payload": {"value": "x" * 1024 * 1024}}
        )
        assert (answer.status_code, problem(answer).type) == (413, "payload-too-large")
        await here.ask(
            "POST", "/tasks", 201, {"task_type": "echo", "payload": {"value": "x" * 1_000_000}}
        )


async def test_what_nobody_foresaw_is_told_in_the_log_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = application("memory://")

    async def workers() -> None:
        raise RuntimeError("the secret is 1234")

    monkeypatch.setattr(app, "workers", workers)
    async with serve(app) as here:
        answer = await here.client.get("/api/v1/workers")
        assert (answer.status_code, problem(answer).type) == (500, "internal-error")
        assert "1234" not in answer.text
        assert "the secret is 1234" in caplog.text


def mountable(app: Tidemill) -> Any:
    """The interface of an application behind nobody's gate; Starlette has ASGI types of its own."""
    return create_api(app, trusted)


async def _under(outer: Any, path: str) -> None:
    """Try an interface that is mounted below `path`, where its own lifespan does not run."""
    listening = listen("127.0.0.1", 0)
    async with (
        serving(outer, listening, end=lambda: None),
        httpx.AsyncClient(base_url=url_of(listening)) as client,
    ):
        made = await client.post(f"{path}/api/v1/tasks", json=FORM)
        assert made.status_code == 201
        assert made.headers["location"].startswith(f"{path}/api/v1/tasks/")
        again = await client.get(made.headers["location"])
        assert again.json()["task_id"] == made.json()["task_id"]
        document = (await client.get(f"{path}/api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": path}]
        await client.post(f"{path}/api/v1/tasks", json=FORM)
        listed = await client.get(f"{path}/api/v1/tasks?limit=1")
        assert (await client.get(listed.links["next"]["url"])).status_code == 200
        gone = await client.get(f"{path}/api/v1/nothing")
        assert problem(gone).type == "route-not-found"


async def test_it_is_mounted_in_a_starlette_application() -> None:
    app = application("memory://")
    await _under(Starlette(routes=[Mount("/tidemill", mountable(app))]), "/tidemill")
    await app.close()


async def test_it_is_mounted_in_a_fastapi_application() -> None:
    app = application("memory://")
    outer = FastAPI()
    outer.mount("/background/tasks", mountable(app))
    await _under(outer, "/background/tasks")
    await app.close()


def test_two_event_loops_can_use_one_interface() -> None:
    app = application("memory://")
    api = mountable(app)

    async def submit() -> str:
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            task_id: str = (await client.post("/api/v1/tasks", json=FORM)).json()["task_id"]
            assert (await client.get(f"/api/v1/tasks/{task_id}")).status_code == 200
            await app.close()
            return task_id

    assert asyncio.run(submit()) != asyncio.run(submit())


async def test_the_document_is_served_and_lists_every_route(site: OpenSite) -> None:
    async with site() as here:
        document = (await here.client.get("/api/v1/openapi.json")).json()
        assert document == msgspec.json.decode(msgspec.json.encode(openapi_document()))
        described = {
            (method.upper(), path)
            for path, methods in document["paths"].items()
            for method in methods
        }
        served = {
            (operation_of(each).method, operation_of(each).prefix + operation_of(each).path)
            for route in create_api(application("memory://")).routes.routes
            for each in getattr(route, "route_handlers", ())
            if "operation" in each.opt
        }
        assert described == served


def test_the_examples_of_the_document_are_what_they_show() -> None:
    known = {each.__name__: each for each in shapes_of(operations()) if isinstance(each, type)}
    assert EXAMPLES.keys() <= known.keys()
    for name, example in EXAMPLES.items():
        msgspec.convert(example, known[name], strict=True)


def test_every_body_in_the_document_has_an_example() -> None:
    document = openapi_document()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if "requestBody" in said:
                shape = said["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                assert shape.rpartition("/")[2] in EXAMPLES, (method, path)
