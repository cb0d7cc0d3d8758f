"""The fixture that runs a test once for each engine."""

from pathlib import Path

import pytest

from tests.engines.makers import ENGINES
from tidemill.testing import MakeEngine


@pytest.fixture(params=ENGINES)
def make_engine(request: pytest.FixtureRequest, tmp_path: Path) -> MakeEngine:
    """Makes fresh engines of one kind."""
    return ENGINES[request.param](tmp_path)
