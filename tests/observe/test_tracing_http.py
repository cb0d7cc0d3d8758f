"""Traces that come in with HTTP requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.observe.spans import is_child, opened, told, trace_of
from tests.worker.facts import PATIENCE, working
from tidemill import Tidemill
from tidemill.api import create_api, trusted


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("listening", [True, False], ids=["traced", "untraced"])
async def test_a_submit_over_http_continues_the_trace_of_the_request(listening: bool) -> None:
    async with opened("memory://") as here, asking(here.app) as client:

        @here.app.task(name="send", queue="mail")
        async def send() -> None: ...

        tracing = here.app.tracing
        if not listening:  # a process that serves HTTP and knows nothing of tracing
            here.app.tracing = None
        headers = {"traceparent": PARENT, "tracestate": "vendor=1"}
        body = {"task_type": "send", "payload": {}}
        one = await client.post("/api/v1/tasks", json=body, headers=headers)
        assert one.status_code == 201, one.text
        bulk = await client.post("/api/v1/tasks/bulk", json={"tasks": [body]}, headers=headers)
        assert bulk.status_code == 201
        bad = await client.post("/api/v1/tasks", json=body, headers={"traceparent": "00-zz"})
        assert bad.status_code == 201
        here.app.tracing = tracing
        async with working(here.app):
            for answer in (one.json(), bulk.json()["tasks"][0], bad.json()):
                await here.app.handle(answer["task_id"]).result(PATIENCE)
        runs = {told(each)["messaging.message.id"]: each for each in here.spans("process mail")}
        theirs = int(PARENT.split("-")[1], 16)
        for answer in (one.json(), bulk.json()["tasks"][0]):
            run = runs[answer["task_id"]]
            assert trace_of(run) == theirs
            assert run.context is not None
            assert run.context.trace_state.get("vendor") == "1"
        assert trace_of(runs[bad.json()["task_id"]]) != theirs
        assert len(here.spans("send mail")) == (3 if listening else 0)


@asynccontextmanager
async def asking(app: Tidemill) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application's interface, which lets everybody in."""
    transport = httpx.ASGITransport(app=create_api(app, authenticate=trusted))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_requests_that_are_enqueued_together_keep_their_own_traces() -> None:
    async with opened("memory://") as here, asking(here.app) as client:

        @here.app.task(name="send", queue="mail")
        async def send() -> None: ...

        async def request(number: int) -> None:
            with here.tracer.start_as_current_span(f"request {number}"):
                body = {"task_type": "send", "payload": {}}
                assert (await client.post("/api/v1/tasks", json=body)).status_code == 201

        await asyncio.gather(*(request(number) for number in range(20)))
        requests = [here.span(f"request {number}") for number in range(20)]
        sent = here.spans("send mail")
        assert len(sent) == 20
        for each in requests:
            assert [is_child(one, each) for one in sent].count(True) == 1
