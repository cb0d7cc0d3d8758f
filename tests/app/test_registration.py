"""Resources, event subscriptions and middleware of an application."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tidemill import (
    ConfigError,
    Context,
    DeclarationError,
    Defaults,
    Event,
    Settings,
    TaskEnqueued,
    Tidemill,
    WorkerSettings,
    WorkerStarted,
)

STARTED = WorkerStarted("w", ("q",), 1)


async def work() -> None: ...


def test_resources_are_kept_in_the_order_of_declaration(app: Tidemill) -> None:
    @app.resource
    async def pool() -> AsyncIterator[int]:
        yield 1

    @app.resource
    async def model() -> AsyncIterator[str]:
        yield "m"

    assert app.resources == (pool, model)
    assert pool.name.endswith("pool")


def test_two_resources_of_one_name_are_refused(app: Tidemill) -> None:
    async def pool() -> AsyncIterator[int]:
        yield 1

    app.resource(pool)
    with pytest.raises(DeclarationError, match="pool is declared already"):
        app.resource(pool)


def test_a_resource_that_does_not_yield_is_refused(app: Tidemill) -> None:
    async def pool() -> int:
        return 1

    wrong: Any = pool
    with pytest.raises(DeclarationError, match="a resource is an async generator function"):
        app.resource(wrong)


async def test_listeners_are_called_in_the_order_of_subscription(app: Tidemill) -> None:
    called: list[str] = []
    app.on(TaskEnqueued)(lambda _: called.append("first"))
    app.on(Event)(lambda event: called.append(f"any {type(event).__name__}"))
    app.on(TaskEnqueued)(lambda _: called.append("second"))
    app.on(WorkerStarted)(lambda _: called.append("other"))
    await app.task(work).enqueue()
    assert called == ["first", "second", "any TaskEnqueued", "any TasksEnqueued"]


async def test_a_listener_that_raises_disturbs_nobody_and_is_logged(
    app: Tidemill, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[Event] = []

    @app.on(TaskEnqueued)
    def broken(event: TaskEnqueued) -> None:
        raise ValueError("it broke")

    app.on(TaskEnqueued)(called.append)
    with caplog.at_level(logging.ERROR, logger="tidemill"):
        await app.task(work).enqueue()
    assert len(called) == 1
    [record] = caplog.records
    assert record.getMessage() == "a listener of TaskEnqueued failed"
    assert record.exc_info is not None


def test_a_subscribed_function_stays_what_it_was(app: Tidemill) -> None:
    def listen(event: WorkerStarted) -> None: ...

    assert app.on(WorkerStarted)(listen) is listen


def test_the_bus_knows_whether_anybody_listens(app: Tidemill) -> None:
    assert not app.bus.wanted(WorkerStarted)
    app.on(Event)(lambda _: None)
    assert app.bus.wanted(WorkerStarted)
    app.bus.emit(STARTED)


def test_middleware_is_kept_in_order(make_app: Callable[..., Tidemill]) -> None:
    async def outer(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        return await call_next()

    async def inner(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        return await call_next()

    assert make_app(middleware=[outer, inner]).middleware == (outer, inner)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Defaults(priority=11), "priority 11 is not within 0..10"),
        (lambda: Defaults(queue="a b"), "'a b' cannot name a queue"),
        (lambda: Defaults(max_attempts=0), "max_attempts 0 must be above 0"),
        (lambda: WorkerSettings(concurrency=0), "concurrency 0 must be above 0"),
        (lambda: WorkerSettings(heartbeat=WorkerSettings().lease), "must be below the lease"),
        (lambda: Settings(payload_limit=0), "payload_limit 0 must be above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(made: Callable[[], object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        made()
