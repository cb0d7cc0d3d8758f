"""The fixtures that run a test once for each engine."""

from collections.abc import Iterator

import pytest

from tests.engines.makers import ENGINES, SPREAD, Kind, Servers
from tidemill.testing import MakeEngine


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of this process, which start when they are first asked for."""
    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.close()


@pytest.fixture(params=ENGINES)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of engine, those in `SPREAD` only by name."""
    return (ENGINES | SPREAD)[request.param]


@pytest.fixture
def make_engine(kind: Kind, servers: Servers) -> Iterator[MakeEngine]:
    """Makes engines of one kind, each on a fresh store."""
    with kind.stores(servers) as make:
        yield make
