"""What an engine's durability level means where its tasks are kept."""

from tidemill.cli.texts import Say
from tidemill.engine import EngineInfo

_SERVERS = frozenset({"redis", "valkey"})


def durability(info: EngineInfo, say: Say) -> str:
    """What accepted tasks survive: a file is lost in other ways than a server's memory."""
    if info.name in _SERVERS:
        return say(f"durability.server.{info.durability}")
    return say(f"durability.{info.durability}")
