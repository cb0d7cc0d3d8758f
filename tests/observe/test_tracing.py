"""Traces over a real worker, as the in-memory exporter of OpenTelemetry sees them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from tests.observe import traced
from tests.observe.spans import is_child, opened, told, trace_of
from tests.worker.facts import PATIENCE, final, working
from tidemill import (
    Cancel,
    Context,
    EngineError,
    Handle,
    Permanent,
    RetryPolicy,
    State,
    TaskFailedError,
    Tidemill,
    fixed,
)
from tidemill.engine import Engine, TaskQuery
from tidemill.engines.memory import MemoryEngine
from tidemill.node import Node
from tidemill.observe.tracing import trace
from tidemill.testing import Fault, FlakyEngine, Harness, scripted

AT_ONCE = RetryPolicy(3, fixed(0))


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty engine."""
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/traced.db"


@asynccontextmanager
async def node(app: Tidemill) -> AsyncIterator[None]:
    """All loops: also what promotes the next attempts."""
    made = Node(app)
    running = asyncio.ensure_future(made.run())
    try:
        yield
    finally:
        made.drain()
        await running


async def test_a_run_is_a_part_of_the_trace_of_who_enqueued_it(url: str) -> None:
    async with opened(url) as here:
        app = here.app
        seen: list[int] = []

        @app.task(name="shop.send", queue="mail")
        async def send(to: str) -> str:
            seen.append(get_current_span().get_span_context().span_id)
            return to

        async with working(app):
            with here.tracer.start_as_current_span("request"):
                handle = await send.enqueue("you")
            assert await handle.result(PATIENCE) == "you"
        request, sent, run = here.span("request"), here.span("send mail"), here.span("process mail")
        assert is_child(sent, request)
        assert is_child(run, sent)
        assert (sent.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
        assert run.context is not None
        assert seen == [run.context.span_id], (
            "spans that the function makes are children of its run"
        )
        common = {
            "messaging.system": "tidemill",
            "messaging.destination.name": "mail",
            "messaging.message.id": handle.id,
            "tidemill.task_type": "shop.send",
        }
        size = told(sent).pop("messaging.message.body.size")
        assert size > 0
        assert told(sent) == common | {
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.message.body.size": size,
        }
        assert told(run) == common | {
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.message.body.size": size,
            "tidemill.attempt": 1,
            "tidemill.outcome": "completed",
        }


async def test_without_a_trace_around_it_an_enqueue_begins_one(url: str) -> None:
    async with opened(url) as here:

        @here.app.task(name="send", queue="mail")
        async def send() -> None: ...

        async with working(here.app):
            one, two = await send.enqueue_many([{}, {}])
            await one.result(PATIENCE)
            await two.result(PATIENCE)
        sent, runs = here.spans("send mail"), here.spans("process mail")
        assert [each.parent for each in sent] == [None, None]
        assert len({trace_of(each) for each in sent}) == 2
        assert {trace_of(each) for each in runs} == {trace_of(each) for each in sent}


async def test_each_attempt_is_a_span_that_tells_its_error_and_nothing_secret(url: str) -> None:
    async with opened(url) as here:

        @here.app.task(name="shaky", queue="q", retry=AT_ONCE)
        async def shaky(ctx: Context) -> None:
            if ctx.attempt < 3:
                raise ValueError("canary")
            raise Permanent("canary")

        async with node(here.app):
            handle = await shaky.enqueue()
            with pytest.raises(TaskFailedError):
                await handle.result(PATIENCE)
        runs = here.spans("process q")
        assert [told(each)["tidemill.attempt"] for each in runs] == [1, 2, 3]
        assert [told(each)["error.type"] for each in runs] == [
            "builtins.ValueError",
            "builtins.ValueError",
            "tidemill.errors.Permanent",
        ]
        assert all(each.status.status_code is StatusCode.ERROR for each in runs)
        assert all(is_child(each, here.span("send q")) for each in runs)
        assert "canary" not in "".join(each.to_json() for each in runs)


async def test_children_belong_to_the_trace_of_their_parent(url: str) -> None:
    async with opened(url) as here:
        app = here.app

        @app.task(name="part", queue="parts")
        async def part(n: int) -> int:
            return n

        @app.task(name="later", queue="after")
        async def later() -> None: ...

        @app.task(name="whole", queue="wholes")
        async def whole(ctx: Context) -> int:
            numbers = await ctx.gather(part.call(1), part.call(2))
            ctx.enqueue(later.call())
            ctx.enqueue(app.chain(part.call(3), later.call()))
            return sum(numbers)

        async with node(app):
            handle = await whole.enqueue()
            assert await handle.result(PATIENCE) == 3
            engine = await app.engine()
            async with asyncio.timeout(PATIENCE):
                while len(here.spans("process after")) < 2:  # noqa: ASYNC110  # the exporter tells nobody
                    await asyncio.sleep(0)
            assert (await final(engine, handle.id)).state is State.COMPLETED
        runs = here.spans("process wholes")
        assert [told(each)["tidemill.outcome"] for each in runs] == ["waiting", "completed"]
        gathered = [each for each in here.spans("send parts") if is_child(each, runs[0])]
        assert len(gathered) == 2
        assert all(is_child(each, runs[1]) for each in here.spans("send after"))
        assert {trace_of(each) for each in here.exporter.get_finished_spans()} == {
            trace_of(runs[0])
        }
        sent = [*here.spans("send parts"), *here.spans("send after")]
        for each in [*here.spans("process parts"), *here.spans("process after")]:
            assert [is_child(each, one) for one in sent].count(True) == 1


async def test_the_steps_of_a_workflow_belong_to_the_trace_of_who_enqueued_it(url: str) -> None:
    async with opened(url) as here:
        app = here.app

        @app.task(name="double", queue="q")
        async def double(n: int) -> int:
            return 2 * n

        async with node(app):
            with here.tracer.start_as_current_span("request") as request:
                flow = await app.chain(double.call(1), double.partial()).enqueue()
            assert await flow.result(PATIENCE) == 4
        runs = here.spans("process q")
        assert len(runs) == 2
        assert {trace_of(each) for each in runs} == {request.get_span_context().trace_id}


async def test_a_function_on_a_thread_is_inside_its_run(url: str) -> None:
    async with opened(url) as here:
        app = here.app

        @app.task(name="leaf", queue="leaves")
        async def leaf() -> None: ...

        @app.task(name="blocking", queue="threads")
        def blocking(ctx: Context) -> None:
            with here.tracer.start_as_current_span("inside"):
                ctx.enqueue(leaf.call())

        async with node(app):
            await (await blocking.enqueue()).result(PATIENCE)
            async with asyncio.timeout(PATIENCE):
                while not here.spans("process leaves"):  # noqa: ASYNC110  # the same
                    await asyncio.sleep(0)
        assert is_child(here.span("inside"), here.span("process threads"))
        assert is_child(here.span("send leaves"), here.span("inside"))


async def test_an_enqueue_from_ordinary_code_continues_its_trace(url: str) -> None:
    async with opened(url) as here:

        @here.app.task(name="send", queue="mail")
        async def send() -> None: ...

        def request() -> None:
            with here.tracer.start_as_current_span("request"):
                send.delay()

        await asyncio.to_thread(request)
        assert is_child(here.span("send mail"), here.span("request"))
        await asyncio.to_thread(lambda: here.app.run_blocking(here.app.close()))


class Item(msgspec.Struct):
    number: int


async def test_a_batch_is_one_span_linked_to_the_traces_of_its_tasks(url: str) -> None:
    async with opened(url) as here:
        app = here.app

        @app.task(name="leaf", queue="leaves")
        async def leaf() -> None: ...

        @app.batch(Item, size=3, within=PATIENCE, name="batch", queue="parts")
        async def batch(contexts: list[Context], items: list[Item]) -> None:
            contexts[0].enqueue(leaf.call())
            assert len(items) == 3

        async with node(app):
            handles: list[Handle[Any]] = []
            for number in range(3):
                with here.tracer.start_as_current_span("request"):
                    handles.append(await batch.enqueue(number=number))
            for each in handles:
                await each.result(PATIENCE)
        run = here.span("process parts")
        assert run.parent is None
        assert told(run)["messaging.batch.message_count"] == 3
        assert told(run)["tidemill.outcome"] == "completed"
        sent = {each.context.span_id for each in here.spans("send parts") if each.context}
        assert {each.context.span_id for each in run.links} == sent
        assert {(each.attributes or {})["messaging.message.id"] for each in run.links} == {
            each.id for each in handles
        }
        assert is_child(here.span("send leaves"), run)


async def test_a_batch_that_raises_tells_its_error(url: str) -> None:
    async with opened(url) as here:

        @here.app.batch(Item, size=1, within=PATIENCE, name="batch", queue="parts", max_attempts=1)
        async def batch(items: list[Item]) -> None:
            raise ValueError("canary")

        async with working(here.app):
            with pytest.raises(TaskFailedError):
                await (await batch.enqueue(number=1)).result(PATIENCE)
        run = here.span("process parts")
        assert told(run)["error.type"] == "builtins.ValueError"
        assert "canary" not in run.to_json()


async def test_a_value_that_ends_a_task_otherwise_is_told(url: str) -> None:
    async with opened(url) as here:

        @here.app.task(name="stop", queue="q")
        async def stop() -> Cancel:
            return Cancel("not needed")

        async with working(here.app):
            handle: Handle[Any] = await stop.enqueue()
            await final(await here.app.engine(), handle.id)
        assert told(here.span("process q"))["tidemill.outcome"] == "cancelled"
        assert here.span("process q").status.status_code is StatusCode.UNSET


async def test_an_enqueue_that_the_engine_refuses_ends_its_span_with_the_error() -> None:
    async with opened("memory://") as here:
        engine: Engine = FlakyEngine(MemoryEngine(), scripted(enqueue=[Fault.BEFORE] * 9))
        here.app.use_engine(engine)

        @here.app.task(name="send", queue="mail")
        async def send() -> None: ...

        with pytest.raises(EngineError):
            await send.enqueue()
        sent = here.span("send mail")
        assert sent.status.status_code is StatusCode.ERROR
        assert told(sent)["error.type"] == "tidemill.errors.EngineUnavailable"


async def test_a_child_process_goes_on_with_the_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spans"
    monkeypatch.setenv(traced.FILE, str(file))
    app = traced.app
    app.use_engine(MemoryEngine())
    async with working(app):
        handle = await traced.isolated.enqueue()
        pid = await handle.result(PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while not file.exists() or b"process whole" not in file.read_bytes():  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.01)
        engine = await app.engine()
        page = await engine.find(TaskQuery(queues=frozenset({"cut"})))
        await final(engine, page.tasks[0].id)
    app.use_engine(None)
    await asyncio.to_thread(traced.provider.force_flush)
    spans = {
        each["name"]: each for each in map(msgspec.json.decode, file.read_bytes().splitlines())
    }
    assert spans["process whole"]["pid"] == spans["inside"]["pid"] == pid
    chain = ["send whole", "process whole", "inside", "send cut", "process cut"]
    for parent, child in pairwise(chain):
        assert spans[child]["parent"] == spans[parent]["id"], child
    assert len({each["trace"] for each in spans.values()}) == 1


async def test_an_applications_own_tests_see_the_same_trace() -> None:
    async with opened("memory://") as here:

        @here.app.task(name="send", queue="mail")
        async def send() -> None: ...

        @here.app.batch(Item, size=2, within=1, name="batch", queue="parts")
        async def batch(items: list[Item]) -> None: ...

        async with Harness(here.app) as harness:
            await send.enqueue()
            await batch.enqueue(number=1)
            await harness.drain()
        assert is_child(here.span("process mail"), here.span("send mail"))
        assert len(here.span("process parts").links) == 1


async def test_asking_twice_is_asking_once() -> None:
    async with opened("memory://") as here:
        trace(here.app, here.provider)
        assert len(here.app.middleware) == 1


def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for() -> None:
    program = (
        "import sys, tidemill, tidemill.worker, tidemill.node, tidemill.api\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_opentelemetry_it_is_said_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from tidemill import ConfigError\n"
        "try:\n"
        "    import tidemill.observe.tracing\n"
        "except ConfigError as error:\n"
        "    assert \"install 'tidemill[otel]'\" in str(error), error\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
