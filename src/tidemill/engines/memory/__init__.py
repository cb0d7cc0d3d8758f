"""The memory engine."""

from tidemill.clock import Clock
from tidemill.engines.memory.engine import MemoryEngine

__all__ = ["MemoryEngine", "from_url"]


def from_url(url: str, *, clock: Clock | None = None) -> MemoryEngine:
    """A new, empty engine: `memory://` has no other part."""
    del url
    return MemoryEngine(clock=clock)
