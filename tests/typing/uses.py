"""Right uses, which a type checker must accept, and the types that it must see.

This file is only read, never run: `make check` reads it too, and an ignore that ignores nothing is
an error there.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, assert_type

import msgspec

from tidemill import (
    AtMost,
    BlockingHandle,
    BlockingWorkflowHandle,
    Call,
    Cancel,
    Context,
    Handle,
    Options,
    Partial,
    Resource,
    Snooze,
    State,
    Step,
    Task,
    TaskCompleted,
    TaskFunction,
    Tidemill,
    Transition,
    Unique,
    Workflow,
    WorkflowHandle,
    cached,
    debounce,
    throttle,
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


async def composed() -> None:
    flow = app.workflow("publish", on_failure="continue")
    step = flow.add(plain.call("a"))
    assert_type(step, Step[str])
    assert_type(step.result, str)
    flow.add(ordinary_with_context.call(1), after=[step])
    flow.add(plain.call(step.result))
    assert_type(await flow.enqueue(), WorkflowHandle[Any])
    assert_type(plain.partial(count=2), Partial[str])
    assert_type(app.chain(plain.call("a"), [plain.partial(), configured.partial()]), Workflow[Any])
    group = app.group(plain.call("a"), plain.call("b"))
    assert_type(await (await group.enqueue()).result(), list[str])
    chord = app.chord([plain.call("a")], ordinary.partial())
    assert_type(await (await chord.enqueue()).result(timeout=5), float)
    assert_type(chord.delay(), BlockingWorkflowHandle[float])
    async for percent in app.workflow_handle("id").progress():
        assert_type(percent, float)


@app.task
async def parent(ctx: Context) -> int:
    assert_type(await ctx.gather(plain.call("a"), plain.call("b")), list[str])
    assert_type(await ctx.gather(plain.call("a"), fail=False), list[str | None])
    assert_type(await ctx.gather(*(ordinary.call(each) for each in range(3))), list[float])
    assert_type(ctx.enqueue(plain.call("a")), str)
    assert_type(ctx.enqueue(app.group(plain.call("a"))), str)
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


class Visit(msgspec.Struct):
    path: str
    at: float = 0.0


@app.batch(Visit, size=500, within=2)
async def recorded(visits: list[Visit]) -> None: ...


@app.batch(Visit, size=500, within=timedelta(seconds=2), concurrency=2, queue="visits")
async def counted(contexts: list[Context], visits: list[Visit]) -> list[int | Snooze | Exception]:
    return [len(visit.path) for visit in visits]


@app.batch(Visit, size=500, within=2, limit=AtMost(5, per="{path}"))
def ordinary_counted(visits: list[Visit]) -> list[str]:
    return [visit.path for visit in visits]


@app.batch(Visit, size=500, within=2, unique=debounce("{path}", wait=1))
def ordinary_recorded(contexts: list[Context], visits: Sequence[Visit]) -> None: ...


async def in_batches() -> None:
    assert_type(await recorded.enqueue(path="/", at=1.0), Handle[None])
    assert_type(await recorded.enqueue("/"), Handle[None])
    assert_type(await counted.enqueue("/"), Handle[int])
    assert_type(await ordinary_counted.options(priority=9).enqueue("/"), Handle[str])
    assert_type(await ordinary_recorded.enqueue("/"), Handle[None])


app.task(limit=AtMost(5), unique=throttle("{to}", per=timedelta(minutes=1)))(plain.function)
app.task(unique=cached("{to}", keep=3600))(plain.function)
Tidemill(middleware=[measured])
assert_type(app.function("plain"), TaskFunction[..., Any])
