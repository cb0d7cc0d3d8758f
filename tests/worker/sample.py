"""An application that child processes and worker processes can import."""

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec

from tidemill import Context, RetryPolicy, SoftTimeout, Tidemill, Unique, fixed
from tidemill.settings import Settings, WorkerSettings

AT_ONCE = RetryPolicy(5, fixed(0))

app = Tidemill(
    settings=Settings(
        url="memory://",
        worker=WorkerSettings(
            lease=timedelta(seconds=2), heartbeat=timedelta(seconds=0.5), concurrency=10
        ),
    )
)


@app.resource
async def number() -> AsyncIterator[int]:
    yield os.getpid()


@app.task(isolation="process")
def where(ctx: Context) -> tuple[int, int]:
    """The process that runs it, twice: as it is, and as the resource saw it."""
    return os.getpid(), ctx.use(number)


@app.task(isolation="process")
async def where_async(ctx: Context) -> int:
    await ctx.progress(40, "in the child")
    ctx.logger.info("said in the child")
    return os.getpid()


@app.task
async def double(n: int) -> int:
    return 2 * n


@app.task(isolation="process")
def total(ctx: Context) -> int:
    children = ctx.block_on(ctx.gather(double.call(1), double.call(2)))
    return sum(each or 0 for each in children)


@app.task(isolation="process")
def halved(n: int) -> int:
    return n // 2


@app.task(isolation="process")
def followed(ctx: Context) -> str:
    return ctx.enqueue(double.options(unique=Unique("n{n}", until=timedelta(hours=1))).call(4))


@app.task(isolation="process")
async def in_transaction(ctx: Context) -> None:
    await ctx.transaction()


@app.task(isolation="process", max_attempts=1)
def refused() -> None:
    raise ValueError("not in here")


@app.task(isolation="process", retry=AT_ONCE)
def deadly() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(isolation="process", retry=AT_ONCE)
def leaving() -> None:
    os._exit(7)


@app.task(isolation="process", max_attempts=1)
def greedy() -> int:
    return len(bytearray(4 * 1024**3))


@app.task(isolation="process", max_attempts=1)
def endless(ctx: Context) -> None:
    ctx.progress(1, "begun")
    threading.Event().wait()


@app.task(isolation="process", max_attempts=1, soft_timeout=0.2, timeout=60)
async def warned_async() -> str:
    try:
        await asyncio.Event().wait()
    except SoftTimeout:
        return "saved"
    return "not warned"


@app.task(isolation="process", max_attempts=1, soft_timeout=0.2, timeout=60)
def warned(ctx: Context) -> str:
    try:
        while not ctx.should_stop:
            time.monotonic()
        time.monotonic()
    except SoftTimeout:
        return "saved"
    return "saved by looking"


@app.task(retry=AT_ONCE)
async def poison() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
async def neighbour(ctx: Context, seconds: float) -> int:
    await ctx.progress(1, "begun")
    await asyncio.sleep(seconds)
    return os.getpid()


class Item(msgspec.Struct):
    number: int


@app.batch(Item, size=10, within=0.05)
async def batched(items: list[Item]) -> list[tuple[int, int]]:
    """How many were handled with it, and in which process."""
    return [(len(items), os.getpid()) for _ in items]


@app.task
async def noop() -> None: ...


@app.task(max_attempts=2, timeout=0.2)
def stuck() -> None:
    threading.Event().wait()


@app.task(max_attempts=2, timeout=0.5)
async def holds_the_interpreter_lock() -> None:
    re.match(r"(a|a)*b", "a" * 60)
