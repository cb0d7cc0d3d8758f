"""What is around an attempt: middleware, resources, transactions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.facts import Facts, final, working
from tidemill import (
    Context,
    LeaseLost,
    TaskCompleted,
    TaskRetried,
    TaskStarted,
    Tidemill,
    WorkerError,
)
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.task import State
from tidemill.worker import Worker

Step = Callable[[], Awaitable[Any]]


async def test_middleware_wraps_in_the_order_of_its_declaration(engine: MemoryEngine) -> None:
    told = []

    def layer(name: str) -> Callable[[Context, Step], Awaitable[Any]]:
        async def around(ctx: Context, call_next: Step) -> Any:
            told.append(f"{name} sees {ctx.task_type}")
            result = await call_next()
            told.append(f"{name} has {result}")
            return result + 1

        return around

    app = Tidemill("memory://", middleware=[layer("outer"), layer("inner")])
    app.use_engine(engine)

    @app.task(name="one")
    async def one() -> int:
        return 1

    @app.task(name="two")
    def two() -> int:
        return 2

    async with working(app):
        assert await (await one.enqueue()).result(20) == 3
        assert told == ["outer sees one", "inner sees one", "inner has 1", "outer has 2"]
        assert await (await two.enqueue()).result(20) == 4


async def test_middleware_may_refuse_a_task(engine: MemoryEngine) -> None:
    async def closed(ctx: Context, call_next: Step) -> Any:
        raise PermissionError("not today")

    app = Tidemill("memory://", middleware=[closed])
    app.use_engine(engine)

    @app.task(max_attempts=1)
    async def one() -> int:
        raise AssertionError("must not run")

    async with working(app):
        task = await final(engine, (await one.enqueue()).id)
    assert task.error is not None
    assert task.error.message == "not today"


async def test_resources_open_in_order_and_close_in_reverse(app: Tidemill) -> None:
    told = []

    @app.resource
    async def first() -> AsyncIterator[str]:
        told.append("first opens")
        yield "first"
        told.append("first closes")

    @app.resource
    async def second() -> AsyncIterator[str]:
        told.append("second opens")
        yield "second"
        told.append("second closes")

    @app.task
    async def both(ctx: Context) -> list[str]:
        return [ctx.use(first), ctx.use(second)]

    async with working(app):
        assert await (await both.enqueue()).result(20) == ["first", "second"]
    assert told == ["first opens", "second opens", "second closes", "first closes"]


async def test_a_resource_that_does_not_open_ends_the_worker_and_closes_the_others(
    app: Tidemill,
) -> None:
    closed = []

    @app.resource
    async def good() -> AsyncIterator[int]:
        yield 1
        closed.append(True)

    @app.resource
    async def bad() -> AsyncIterator[int]:
        await anext(nowhere())
        yield 1

    async def nowhere() -> AsyncIterator[int]:
        for _ in range(2):
            raise ConnectionError("no such host")
        yield 1

    with pytest.raises(ConnectionError, match="no such host"):
        await Worker(app).run()
    assert closed == [True]


async def test_blocking_on_the_loop_is_refused(app: Tidemill, facts: Facts) -> None:
    @app.task
    async def wrong(ctx: Context) -> None:
        ctx.block_on(asyncio.sleep(0))

    async with working(app):
        await wrong.enqueue()
        event = await facts.first(TaskRetried)
    assert event.error.type == f"{WorkerError.__module__}.WorkerError"


@pytest.fixture
def book(tmp_path: Path) -> Tidemill:
    """An application on SQLite, whose transactions its tasks may use."""
    return Tidemill(f"sqlite:///{tmp_path}/book.db")


async def _rows(app: Tidemill) -> list[tuple[Any, ...]]:
    engine = await app.engine()
    async with engine.transaction() as tx:
        await tx.execute("CREATE TABLE IF NOT EXISTS book (n INTEGER)")
        return await tx.execute("SELECT n FROM book ORDER BY n")


async def test_a_tasks_own_sql_commits_with_its_completion(book: Tidemill) -> None:
    assert await _rows(book) == []

    @book.task(name="write")
    async def write(ctx: Context, n: int) -> str:
        tx = await ctx.transaction()
        await tx.execute("INSERT INTO book VALUES (?)", (n,))
        return ctx.enqueue(later.call(n + 1))

    @book.task(name="later")
    def later(ctx: Context, n: int) -> int:
        tx = ctx.block_on(ctx.transaction())
        ctx.block_on(tx.execute("INSERT INTO book VALUES (?)", (n,)))
        return n

    facts = Facts(book)
    async with working(book):
        made = await (await write.enqueue(1)).result(20)
        assert (await final(await book.engine(), made)).state is State.COMPLETED
        await facts.first(TaskCompleted, lambda event: event.task_id == made)
    assert await _rows(book) == [(1,), (2,)]
    await book.close()


async def test_a_tasks_own_sql_is_undone_when_it_fails(book: Tidemill) -> None:
    assert await _rows(book) == []

    @book.task(name="write", max_attempts=1)
    async def write(ctx: Context) -> None:
        tx = await ctx.transaction()
        await tx.execute("INSERT INTO book VALUES (1)")
        raise ValueError("after all not")

    async with working(book):
        task = await final(await book.engine(), (await write.enqueue()).id)
    assert task.state is State.FAILED
    assert await _rows(book) == []
    await book.close()


async def test_a_tasks_own_sql_is_undone_when_its_claim_was_lost(book: Tidemill) -> None:
    assert await _rows(book) == []
    go = asyncio.Event()

    @book.task(name="write")
    async def write(ctx: Context) -> None:
        await go.wait()
        tx = await ctx.transaction()
        await tx.execute("INSERT INTO book VALUES (1)")
        await tx.execute("UPDATE tidemill_task SET claim = NULL, token = token + 1")

    facts = Facts(book)
    async with working(book):
        await write.enqueue()
        await facts.first(TaskStarted)
        go.set()
        await facts.first(LeaseLost)
    assert await _rows(book) == []
    await book.close()


async def test_a_transaction_is_refused_by_an_engine_without_them(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    async def write(ctx: Context) -> None:
        await ctx.transaction()

    async with working(app):
        await write.enqueue()
        event = await facts.first(TaskRetried)
    assert event.error.type == "tidemill.errors.EngineRefused"
