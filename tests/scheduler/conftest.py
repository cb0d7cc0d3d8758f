"""Applications on one memory engine, whose time stands still, and what their schedulers tell."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tidemill import Event, Tidemill, VirtualClock
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine

START = datetime(2026, 1, 1, tzinfo=UTC)
Seen = list[Event]


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def engine(clock: VirtualClock) -> MemoryEngine:
    return MemoryEngine(clock=clock)


@pytest.fixture
def seen() -> Seen:
    """All events of all applications, in order."""
    return []


@pytest.fixture
def make_app(engine: Engine, clock: VirtualClock, seen: Seen) -> Callable[[], Tidemill]:
    """Makes applications that declare the task type `work`."""

    def make() -> Tidemill:
        app = Tidemill("memory://")
        app.use_engine(engine, clock=clock)
        app.on(Event)(seen.append)

        @app.task(name="work")
        async def work(number: int = 0) -> None: ...

        return app

    return make


@pytest.fixture
def app(make_app: Callable[[], Tidemill]) -> Tidemill:
    return make_app()
