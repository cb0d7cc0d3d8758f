"""An application whose webhooks may lead to the loopback, on an engine whose time stands still."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tidemill import Event, Settings, TaskRetried, Tidemill, VirtualClock, WebhookSettings
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.node import Node

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOPBACK = WebhookSettings(allow_networks=("127.0.0.0/8",), allow_http=True)


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def engine(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    """An engine whose feed keeps the last 1,000 transitions."""
    monkeypatch.setattr("tidemill.engines.memory.books.FEED_LENGTH", 1_000)
    return MemoryEngine(clock=clock)


@dataclass
class News:
    """The events of applications, in order, to wait for."""

    seen: list[Event] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, event: Event) -> None:
        self.seen.append(event)
        self.changed.set()

    async def until(self, fits: Callable[[list[Event]], bool]) -> list[Event]:
        """What was seen, as soon as it is as expected."""
        async with asyncio.timeout(20):
            while not fits(self.seen):
                self.changed.clear()
                await self.changed.wait()
        return list(self.seen)

    async def retried(self, count: int) -> list[TaskRetried]:
        """The attempts that failed and are followed by another, when there are so many."""
        await self.until(lambda _: len(self.retries) >= count)
        return self.retries

    @property
    def retries(self) -> list[TaskRetried]:
        return [each for each in self.seen if isinstance(each, TaskRetried)]


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def make_app(engine: Engine, clock: VirtualClock, news: News) -> Callable[[], Tidemill]:
    """Makes applications on the one engine, with tasks that complete and tasks that fail."""

    def make(webhooks: WebhookSettings = LOOPBACK) -> Tidemill:
        app = Tidemill("memory://", settings=Settings(webhooks=webhooks))
        app.use_engine(engine, clock=clock)
        app.on(Event)(news.hear)

        @app.task(name="work", queue="work")
        async def work(number: int = 0) -> str:
            return "a secret result"

        @app.task(name="fail", queue="work", max_attempts=1)
        async def fail() -> None:
            raise ValueError("a secret error")

        return app

    return make


@pytest.fixture
def app(make_app: Callable[[], Tidemill]) -> Tidemill:
    return make_app()


@asynccontextmanager
async def running(*apps: Tidemill) -> AsyncIterator[None]:
    """Nodes of the applications run as long as the context is open."""
    nodes = [Node(app) for app in apps]
    tasks = [asyncio.create_task(node.run()) for node in nodes]
    try:
        yield
    finally:
        for node in nodes:
            node.drain(grace=timedelta(0))
        await asyncio.gather(*tasks)


async def pass_time(engine: Engine, clock: VirtualClock, by: timedelta) -> None:
    """Let engine time pass, and make ready what became due."""
    clock.advance(by)
    await engine.promote(1_000)
