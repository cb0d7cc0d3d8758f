"""An application on the memory engine."""

import pytest

from tests.worker.facts import Facts
from tidemill import Tidemill
from tidemill.engines.memory import MemoryEngine


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def app(engine: MemoryEngine) -> Tidemill:
    app = Tidemill("memory://")
    app.use_engine(engine)
    return app


@pytest.fixture
def facts(app: Tidemill) -> Facts:
    return Facts(app)
