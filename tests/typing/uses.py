"""Right uses, which a type checker must accept, and the types that it must see.

This file is only read, never run: `make check` reads it too, and an ignore that ignores nothing is
an error there.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, assert_type

from tidemill import (
    BlockingHandle,
    Call,
    Cancel,
    Context,
    Handle,
    Options,
    Resource,
    Snooze,
    State,
    Task,
    TaskCompleted,
    TaskFunction,
    Tidemill,
    Transition,
    Unique,
)

app = Tidemill("memory://")


@app.task
async def plain(to: str, count: int = 1) -> str:
    return to * count


@app.task(queue="mail", timeout=30, soft_timeout=timedelta(seconds=20), unique="mail:{to}")
async def configured(to: str) -> int:
    return len(to)


@app.task
async def with_context(ctx: Context, to: str) -> bytes:
    await ctx.progress(50, "halfway")
    await ctx.step("parse", 1, 2)
    return to.encode()


@app.task(isolation="process")
def ordinary(number: int) -> float:
    return number / 2


@app.task(tags=["x"])
def ordinary_with_context(ctx: Context, number: int) -> list[int]:
    ctx.progress(10)
    ctx.logger.info("%d", number)
    return [number]


@app.task
async def may_snooze(to: str) -> str | Snooze | Cancel:
    return Snooze(timedelta(seconds=5)) if to else Cancel("nobody")


@app.task
async def may_snooze_with_context(ctx: Context, to: str) -> dict[str, int] | Snooze:
    return Snooze(timedelta(seconds=5)) if ctx.last_attempt else {to: 1}


@app.task
def ordinary_may_cancel(to: str) -> str | Cancel:
    return to or Cancel()


@app.task(unique=Unique("k", on_conflict="reject"))
async def nothing() -> None: ...


async def enqueued() -> None:
    assert_type(await plain.enqueue("a"), Handle[str])
    assert_type(await plain.enqueue("a", count=2), Handle[str])
    assert_type(await (await plain.enqueue(to="a")).result(), str)
    assert_type(await (await configured.enqueue("a")).result(timeout=5), int)
    assert_type(await (await with_context.enqueue("a")).result(), bytes)
    assert_type(await (await ordinary.enqueue(1)).result(), float)
    assert_type(await (await ordinary_with_context.enqueue(number=1)).result(), list[int])
    assert_type(await (await may_snooze.enqueue("a")).result(), str)
    assert_type(await (await may_snooze_with_context.enqueue("a")).result(), dict[str, int])
    assert_type(await (await ordinary_may_cancel.enqueue("a")).result(), str)
    assert_type(await nothing.enqueue(), Handle[None])


async def in_bulk() -> None:
    assert_type(await plain.enqueue_many([{"to": "a"}]), list[Handle[str]])
    assert_type(plain.call("a"), Call[str])
    assert_type(await app.enqueue(plain.call("a")), Handle[str])
    assert_type(await app.enqueue_many([plain.call("a"), may_snooze.call("b")]), list[Handle[str]])


async def with_options() -> None:
    urgent = plain.options(priority=9, delay=5, tags=["x"])
    assert_type(await (await urgent.enqueue("a", count=2)).result(), str)
    assert_type(await (await urgent.options(queue="q").enqueue("a")).result(), str)
    assert_type(Options(priority=9).priority, int | None)


async def handled(handle: Handle[int]) -> None:
    assert_type(await handle.get(), Task)
    assert_type(await handle.state(), State)
    async for entry in handle.events():
        assert_type(entry, Transition)
    assert_type(await app.handle("id").result(), Any)


def blocking() -> None:
    assert_type(plain.delay("a"), BlockingHandle[str])
    assert_type(plain.delay("a").result(), str)
    assert_type(may_snooze.delay("a").result(timeout=5), str)


@app.task
async def parent(ctx: Context) -> int:
    assert_type(await ctx.gather(plain.call("a"), plain.call("b")), list[str])
    assert_type(await ctx.gather(plain.call("a"), fail=False), list[str | None])
    assert_type(await ctx.gather(*(ordinary.call(each) for each in range(3))), list[float])
    assert_type(ctx.enqueue(plain.call("a")), str)
    assert_type(ctx.use(pool), int)
    return 1


@app.task
def ordinary_parent(ctx: Context) -> int:
    assert_type(ctx.block_on(ctx.gather(plain.call("a"))), list[str])
    return 1


@app.resource
async def pool() -> AsyncIterator[int]:
    yield 1


assert_type(pool, Resource[int])


@app.on(TaskCompleted)
def on_completed(event: TaskCompleted) -> None:
    assert_type(event.ran_for, timedelta)


async def measured(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
    return await call_next()


Tidemill(middleware=[measured])
assert_type(app.function("plain"), TaskFunction[..., Any])
