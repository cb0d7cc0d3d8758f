"""Applications on one store of each kind of engine, in virtual or in real time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.engines.conftest import make_engine
from tests.engines.makers import ENGINES, SPREAD, Kind
from tidemill import Clock, Engine, SystemClock, Tidemill, VirtualClock
from tidemill.testing import MakeEngine

__all__ = ["make_engine"]


@dataclass(frozen=True)
class Place:
    """A store, and the applications on it."""

    engine: Engine
    clock: Clock
    made: list[Tidemill] = field(default_factory=list)

    def app(self, path: str | None = None, *, on: Engine | None = None) -> Tidemill:
        """An application on the store, or on an engine before it."""
        app = Tidemill("memory://")
        app.import_path = path
        app.use_engine(on or self.engine, clock=self.clock)
        self.made.append(app)
        return app


Open = Callable[[], AbstractAsyncContextManager[Place]]


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture(params=["memory", "sqlite", "valkey", "cluster"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of engine, one of each family of servers."""
    return (ENGINES | SPREAD)[request.param]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def place(make_engine: MakeEngine, clock: VirtualClock) -> Open:
    """Opens an empty store whose time stands still."""
    return _opener(make_engine, clock)


@pytest.fixture
def real_place(make_engine: MakeEngine) -> Open:
    """Opens an empty store in real time, for workers."""
    return _opener(make_engine, SystemClock())


def _opener(make: MakeEngine, clock: Clock) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Place]:
        engine = make(clock)
        await engine.migrate()
        place = Place(engine, clock)
        try:
            yield place
        finally:
            for app in place.made:
                await app.close()
            await engine.close()

    return opened
