"""Empty stores on real servers, by their URLs."""

from collections.abc import Iterator

import pytest

from tests.engines.makers import Servers
from tests.servers.server import KINDS


@pytest.fixture(params=[*KINDS, "cluster"])
def url(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """An empty store of each kind."""
    with servers.addresses(request.param) as address:
        yield address()


@pytest.fixture(params=KINDS)
def single(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """An empty store on one server of each kind."""
    with servers.addresses(request.param) as address:
        yield address()


@pytest.fixture
def spread(servers: Servers) -> Iterator[str]:
    """An empty store on a cluster."""
    with servers.addresses("cluster") as address:
        yield address()
