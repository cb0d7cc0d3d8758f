"""Live changes over real connections: a server, workers, clients that come, go and come back."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from tests.api.conftest import key_header
from tidemill import Context, Settings, Tidemill, WorkerSettings
from tidemill.api import create_api
from tidemill.api import streams as streams_module
from tidemill.api.events import CAUSES
from tidemill.api.gate import lasting
from tidemill.api.gate.credentials import Credentials
from tidemill.api.server import listen, serving, url_of
from tidemill.api.streams import Streams
from tidemill.engines.memory import books
from tidemill.errors import EngineUnavailable
from tidemill.node import Node

WAIT = 30.0


@dataclass(frozen=True)
class Event:
    """One server-sent event as the client reads it; a comment has no name."""

    name: str
    data: Any
    id: str | None


@dataclass
class Site:
    """An application with a server and a client; workers are started where a test wants them."""

    app: Tidemill
    client: httpx.AsyncClient
    streams: Streams
    gates: dict[str, asyncio.Event]

    @asynccontextmanager
    async def reading(
        self, path: str, last: str | None = None, **query: str
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of a stream, from the moment on at which it is open."""
        headers = {} if last is None else {"Last-Event-ID": last}
        url = f"/api/v1{path}"
        async with self.client.stream("GET", url, params=query, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield events_of(response)

    async def enqueue(self, task_type: str, **payload: Any) -> str:
        return (await self.app.function(task_type).enqueue(**payload)).id


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith("retry:"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            data = msgspec.json.decode(fields["data"]) if "data" in fields else None
            yield Event(fields.get("event", ""), data, fields.get("id"))
            fields = {}


async def some(events: AsyncIterator[Event], number: int) -> list[Event]:
    async with asyncio.timeout(WAIT):
        return [await anext(events) for _ in range(number)]


async def until(events: AsyncIterator[Event], name: str) -> None:
    """Read on until an event of this name has come."""
    while (await some(events, 1))[0].name != name:
        pass


async def rest(events: AsyncIterator[Event]) -> list[Event]:
    async with asyncio.timeout(WAIT):
        return [event async for event in events]


def application(url: str, gates: dict[str, asyncio.Event]) -> Tidemill:
    app = Tidemill(
        settings=Settings(
            url=url,
            worker=WorkerSettings(lease=timedelta(seconds=5), heartbeat=timedelta(seconds=1)),
        )
    )

    @app.task(name="count", queue="sums", max_attempts=1)
    async def count(ctx: Context, to: int, gate: str = "") -> int:
        for number in range(1, to + 1):
            await ctx.progress(100 * number / to, f"{number} of {to}")
            if gate:
                await gates[gate].wait()
        return to

    @app.task(name="plain", queue="plain", max_attempts=1)
    async def plain(ok: bool = True) -> None:
        if not ok:
            raise ValueError("not ok")

    return app


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'tasks.db'}"


@asynccontextmanager
async def site(
    url: str, *, heartbeat: float = 15.0, worker: bool = True, buffer: int | None = None
) -> AsyncIterator[Site]:
    gates: dict[str, asyncio.Event] = {"open": asyncio.Event()}
    app = application(url, gates)
    api = create_api(app)
    streams = api.routes.state["streams"] = Streams(app, heartbeat=heartbeat)
    node = Node(app)
    working = asyncio.create_task(node.run()) if worker else None
    listening = listen("127.0.0.1", 0)
    if buffer is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    async with (
        serving(api, listening, end=streams.end),
        httpx.AsyncClient(
            base_url=url_of(listening), headers=await key_header(app), timeout=WAIT
        ) as client,
    ):
        yield Site(app, client, streams, gates)
    if working is not None:
        gates["open"].set()
        node.drain()
        await working
    await app.close()


async def test_a_task_is_followed_from_its_state_to_its_end(url: str) -> None:
    async with site(url, worker=False) as here:
        task_id = await here.enqueue("count", to=4)
        async with here.reading(f"/tasks/{task_id}/events") as events:
            (state,) = await some(events, 1)
            assert (state.name, state.data["status"]) == ("state", "pending")
            assert state.data["task_id"] == task_id
            node = Node(here.app)
            working = asyncio.create_task(node.run())
            told = await rest(events)
            node.drain()
            await working
    assert next(each.name for each in told) == "claimed"
    assert [each.name for each in told][-1] == "completed"
    assert told[-1].data["status"] == "completed"
    percents = [each.data["progress"] for each in told if each.data["progress"] is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert all(each.id for each in told)
    assert {each.data["queue_name"] for each in told} == {"sums"}


async def test_progress_reaches_a_subscriber_in_order_within_100_ms(url: str) -> None:
    """From the call in the task to the client, which lets the task go on: 30 times."""
    async with site(url, worker=False) as here:
        told: dict[float, float] = {}
        seen = asyncio.Event()

        @here.app.task(name="steps")
        async def steps(ctx: Context) -> None:
            for number in range(30):
                percent = number * 100 / 30
                told[percent] = time.perf_counter()
                await ctx.progress(percent)
                await seen.wait()
                seen.clear()

        node = Node(here.app)
        working = asyncio.create_task(node.run())
        task_id = (await here.app.function("steps").enqueue()).id
        late, percents = [], []
        async with here.reading(f"/tasks/{task_id}/events") as events, asyncio.timeout(WAIT):
            async for event in events:
                percent = event.data["progress"]
                if percent in told and percent not in percents:
                    late.append(time.perf_counter() - told[percent])
                    percents.append(percent)
                    seen.set()
        node.drain()
        await working
    assert percents == sorted(told)
    assert event.data["progress"] == 100
    print(f"{url[:6]}: p50 {sorted(late)[15] * 1e3:.1f} ms, most {max(late) * 1e3:.1f} ms")
    assert sorted(late)[15] < 0.1


async def test_the_stream_of_a_final_task_tells_its_state_and_ends(url: str) -> None:
    async with site(url) as here:
        task_id = await here.enqueue("plain", ok=False)
        async with here.reading(f"/tasks/{task_id}/events") as events:
            last = (await rest(events))[-1]
        assert last.data["status"] == "failed"
        async with here.reading(f"/tasks/{task_id}/events") as events:
            (state,) = await rest(events)
        assert (state.name, state.data["status"]) == ("state", "failed")
        again = await here.client.get(
            f"/api/v1/tasks/{task_id}/events", headers={"Last-Event-ID": str(last.id)}
        )
        assert (again.status_code, again.content) == (204, b"")


async def test_whoever_comes_back_at_any_event_misses_none_and_gets_none_twice(url: str) -> None:
    async with site(url) as here:
        async with here.reading("/events") as events:
            ids = [await here.enqueue("count", to=5) for _ in range(6)]
            told: list[Event] = []
            async with asyncio.timeout(WAIT):
                while {e.data["task_id"] for e in told if e.name == "completed"} != set(ids):
                    told.append(await anext(events))
        for number, event in enumerate(told):
            following = [(each.name, each.data, each.id) for each in told[number + 1 :]]
            async with here.reading("/events", last=event.id) as events:
                again = await some(events, len(following))
            assert [(each.name, each.data) for each in again] == [
                (name, data) for name, data, _ in following
            ]


async def test_whoever_comes_back_while_much_happens_misses_none_and_gets_none_twice(
    url: str,
) -> None:
    async with site(url) as here:
        wanted = 60
        told: list[Event] = []
        last: str | None = None

        async def produce() -> None:
            for _ in range(wanted):
                await here.enqueue("count", to=3)

        async with here.reading("/events", types="enqueued,completed") as events:
            producing = asyncio.create_task(produce())
            told += await some(events, 7)
            last = told[-1].id
        async with asyncio.timeout(WAIT):
            while len(told) < 2 * wanted:
                async with here.reading("/events", last=last, types="enqueued,completed") as events:
                    told += await some(events, min(7, 2 * wanted - len(told)))
                    last = told[-1].id
        await producing
    seen = [(each.name, each.data["task_id"]) for each in told]
    assert len(set(seen)) == len(seen) == 2 * wanted


async def test_what_happened_while_nobody_listened_is_told_to_who_comes_back(url: str) -> None:
    async with site(url) as here:
        first = await here.enqueue("plain")
        async with here.reading(f"/tasks/{first}/events") as events:
            place = (await rest(events))[-1].id
        second = await here.enqueue("plain")
        await here.app.handle(second).result(WAIT)
        async with here.reading("/events", last=place, types="enqueued,completed") as events:
            told = await some(events, 2)
        assert [(each.name, each.data["task_id"]) for each in told] == [
            ("enqueued", second),
            ("completed", second),
        ]


async def test_a_place_of_another_process_is_as_good(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    async with site(url) as here, site(url, worker=False) as there:
        async with here.reading("/events", types="enqueued") as events:
            ids = [await here.enqueue("plain") for _ in range(3)]
            told = await some(events, 3)
        assert [each.data["task_id"] for each in told] == ids
        async with there.reading("/events", last=told[0].id, types="enqueued") as events:
            assert [each.data["task_id"] for each in await some(events, 2)] == ids[1:]


async def test_only_what_is_asked_for_is_told(url: str) -> None:
    async with (
        site(url) as here,
        here.reading("/events", queue="sums", types="completed") as of_queue,
        here.reading("/events", task_type="plain", types="failed,completed") as of_type,
    ):
        for _ in range(2):
            await here.enqueue("count", to=1)
            await here.enqueue("plain", ok=False)
        assert [each.data["queue_name"] for each in await some(of_queue, 2)] == ["sums"] * 2
        assert [each.name for each in await some(of_type, 2)] == ["failed"] * 2


async def test_what_the_feed_dropped_is_told_as_reset_with_the_state_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(books, "FEED_LENGTH", 50)
    async with site("memory://", worker=False) as here:
        async with here.reading("/events") as events:
            first = await here.enqueue("plain")
            (seen,) = await some(events, 1)
        for _ in range(60):
            await here.enqueue("plain")
        async with here.reading("/events", last=seen.id) as events:
            reset, state = await some(events, 2)
            after = await here.enqueue("plain")
            (live,) = await some(events, 1)
        assert (reset.name, reset.data, reset.id) == ("reset", {"reason": "lost"}, None)
        assert state.name == "state"
        assert state.data["queues"] == [{"queue_name": "plain", "counts": {"pending": 61}}]
        assert live.data["task_id"] == after
        async with here.reading(f"/tasks/{first}/events", last=seen.id) as events:
            reset, state = await some(events, 2)
        assert reset.name == "reset"
        assert (state.name, state.data["status"]) == ("state", "pending")


@pytest.mark.parametrize("place", ["x", "-5", "+", "1+2.zz", "99999999999999999999999", "%00", "é"])
async def test_a_place_that_never_was_does_no_harm(url: str, place: str) -> None:
    async with site(url, worker=False) as here:
        task_id = await here.enqueue("plain")
        headers = {b"Last-Event-ID": place.encode()}
        async with here.client.stream(
            "GET", "/api/v1/events", headers=headers, params={"queue": "plain"}
        ) as response:
            events = events_of(response)
            if place != "99999999999999999999999":
                reset, state = await some(events, 2)
                assert (reset.name, state.name) == ("reset", "state")
            other = await here.enqueue("plain")
            while (event := (await some(events, 1))[0]).data.get("task_id") != other:
                assert event.data.get("task_id") in {task_id, None}


async def _listening(here: Site, number: int) -> None:
    """Return when the server has so many listeners: it has no event for that."""
    while len(here.streams.here()._listeners) != number:  # noqa: ASYNC110  # as it says
        await asyncio.sleep(0)


async def test_a_comment_keeps_the_connection_and_moves_the_place_on(url: str) -> None:
    async with site(url, heartbeat=0.05, worker=False) as here:
        async with here.reading("/events", types="failed") as events:
            (first,) = await some(events, 1)
            await here.enqueue("plain")
            while (comment := (await some(events, 1))[0]).id == first.id:
                assert comment.data is None
        async with here.reading("/events", last=comment.id) as events:
            after = await here.enqueue("plain")
            told = [each for each in await some(events, 2) if each.data]
            assert [each.data["task_id"] for each in told][:1] == [after]


async def test_a_client_that_does_not_read_is_ended_and_misses_nothing_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both sides of its connection buffer little, and its line takes 20 events."""
    monkeypatch.setattr(streams_module, "MOST_WAITING", 20)
    async with site("memory://", worker=False, buffer=4096) as here:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (here.client.base_url.host, here.client.base_url.port))
            await loop.sock_sendall(client, _request(here, "/api/v1/events"))
            received = await loop.sock_recv(client, 100)
            (listener,) = here.streams.here()._listeners
            ids = []
            while not listener.slow:
                ids.append(await here.enqueue("plain"))
                await asyncio.sleep(0)  # the engine in memory never lets the loop go by itself
            while not received.endswith(b"\r\n0\r\n\r\n"):
                received += await loop.sock_recv(client, 1 << 16)
        text = received.decode()
        assert 'event: reset\ndata: {"reason":"slow"}\n\n\r\n0\r\n' in text
        places = [line[4:] for line in text.splitlines() if line.startswith("id: ")]
        told = [line for line in text.splitlines() if '"task_id"' in line]
        assert 0 < len(told) < len(ids)
        async with here.reading("/events", last=places[-1]) as events:
            missed = await some(events, len(ids) - len(told))
        assert [each.data["task_id"] for each in missed] == ids[len(told) :]


async def test_a_task_that_is_not_there_is_answered_404(url: str) -> None:
    async with site(url, worker=False) as here:
        for task_id in ("019a0000-0000-7000-8000-000000000000", "nonsense"):
            answer = await here.client.get(f"/api/v1/tasks/{task_id}/events")
            assert answer.status_code == 404
            assert answer.json()["type"] == "task-not-found"


async def test_an_unknown_kind_of_event_is_answered_with_those_that_exist(url: str) -> None:
    async with site(url, worker=False) as here:
        answer = await here.client.get("/api/v1/events", params={"types": "completed,done"})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == "types"
        assert "done" in error["message"]
        assert all(cause in error["message"] for cause in CAUSES)


async def test_nobody_listening_costs_no_reader(url: str) -> None:
    async with site(url, worker=False) as here:
        async with here.reading("/events"):
            await _listening(here, 1)
            assert here.streams.here()._running
        await _listening(here, 0)
        assert not here.streams.here()._running


async def test_the_server_stops_while_streams_are_open(url: str) -> None:
    async with asyncio.timeout(WAIT), site(url, worker=False) as here:
        task_id = await here.enqueue("plain")
        streaming = asyncio.create_task(_all(here, f"/tasks/{task_id}/events"))
        await _listening(here, 1)
        here.streams.end()
        assert [each.name for each in await streaming] == ["state"]


async def _all(here: Site, path: str) -> list[Event]:
    async with here.reading(path) as events:
        return [event async for event in events]


def _request(here: Site, path: str) -> bytes:
    key = here.client.headers["authorization"]
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode()


async def test_a_thousand_idle_subscribers_cost_less_than_100_mb(url: str) -> None:
    """The clients are bare sockets in this process, so that what grows is the server's part."""
    process = psutil.Process(os.getpid())
    async with site(url, worker=False) as here:
        task_id = await here.enqueue("plain")
        host, port = here.client.base_url.host, here.client.base_url.port
        path = f"/api/v1/tasks/{task_id}/events"
        before = process.memory_info().rss
        connections = []
        for _ in range(1_000):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(_request(here, path))
            connections.append((reader, writer))
        async with asyncio.timeout(WAIT):
            for reader, _ in connections:
                await reader.readuntil(b"event: state")
            await _listening(here, 1_000)
        grown = process.memory_info().rss - before
        await here.app.handle(task_id).cancel()
        async with asyncio.timeout(WAIT):
            for reader, writer in connections:
                assert b"event: cancelled" in await reader.readuntil(b"event: cancelled")
                writer.close()
    print(f"1,000 subscribers: {grown / 1e6:.1f} MB")
    assert grown < 100_000_000


async def test_a_stream_ends_in_order_when_its_key_is_revoked(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "PROOF_LASTS", 0.0)
    async with site(url, heartbeat=0.05, worker=False) as here:
        async with here.reading("/events") as events:
            await here.enqueue("plain")
            await until(events, "enqueued")
            (key,) = await here.app.keys.list()
            await here.app.keys.revoke(key.id)
            await here.enqueue("plain")
            told = await rest(events)
        assert "enqueued" not in [each.name for each in told]
        assert (await here.client.get("/api/v1/events")).status_code == 401


async def test_a_stream_outlives_an_engine_that_cannot_tell_of_its_key(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "PROOF_LASTS", 0.0)
    async with site(url, heartbeat=0.05, worker=False) as here:
        asked = asyncio.Event()

        async def fail(_self: object, _asked: object) -> None:
            asked.set()
            raise EngineUnavailable("no answer")

        async with here.reading("/events") as events:
            with monkeypatch.context() as failing:
                failing.setattr(Credentials, "__call__", fail)
                await asked.wait()
            await here.enqueue("plain")
            await until(events, "enqueued")
