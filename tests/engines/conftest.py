"""The fixtures that run a test once for each engine."""

from pathlib import Path

import pytest

from tests.engines.makers import ENGINES, UNPROMISED
from tidemill.testing import MakeEngine


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine by its name."""
    return str(request.param)


@pytest.fixture
def make_engine(engine_name: str, tmp_path: Path) -> MakeEngine:
    """Makes fresh engines of one kind."""
    return ENGINES[engine_name](tmp_path)


@pytest.fixture
def unpromised(engine_name: str) -> frozenset[str]:
    """The subjects that this engine says it does not promise."""
    return UNPROMISED[engine_name]
