"""Workers, and the health of the server."""

from tidemill.client.asking import Ask, Route
from tidemill.client.routes.forms import API, read
from tidemill.interface.health import Alive, Ready
from tidemill.interface.workers import WorkersRecord


@Route
def list_workers() -> Ask[WorkersRecord]:
    """The worker processes by name."""
    return read(f"{API}/workers", WorkersRecord)


@Route
def get_health() -> Ask[Alive]:
    """Tell that the process answers."""
    return read("/healthz", Alive)


@Route
def get_readiness() -> Ask[Ready]:
    """Tell that the engine answers, and what it promises; an error with status 503 if not."""
    return read("/readyz", Ready)
