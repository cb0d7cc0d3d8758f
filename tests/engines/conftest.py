"""The fixtures that run a test once for each engine."""

from collections.abc import Iterator

import pytest

from tests.engines.makers import ENGINES, SPREAD, Kind, Servers
from tidemill.testing import MakeEngine


@pytest.fixture(params=ENGINES)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of engine, those in `SPREAD` only by name."""
    return (ENGINES | SPREAD)[request.param]


@pytest.fixture
def make_engine(kind: Kind, servers: Servers) -> Iterator[MakeEngine]:
    """Makes engines of one kind, each on a fresh store."""
    with kind.stores(servers) as make:
        yield make
