"""The SQLite engine: one file, no server, any number of processes on one machine."""

from urllib.parse import parse_qsl, unquote

from tidemill.clock import Clock
from tidemill.engines.sqlite.connection import Durability
from tidemill.engines.sqlite.engine import SqliteEngine
from tidemill.errors import ConfigError

__all__ = ["SqliteEngine", "from_url"]


def from_url(url: str, *, clock: Clock | None = None) -> SqliteEngine:
    """The engine of `sqlite:///relative.db` or `sqlite:////absolute.db`.

    `?durability=strict|standard|fast` chooses what an accepted task survives. Anything else in
    the URL raises `ConfigError`.
    """
    place, _, query = url.removeprefix("sqlite://").partition("?")
    path = unquote(place.removeprefix("/"))
    options = dict(parse_qsl(query, keep_blank_values=True))
    durability = options.pop("durability", "standard")
    if not place.startswith("/") or not path:
        raise ConfigError(
            f"{url!r} names no file; write sqlite:///relative.db or sqlite:////absolute.db"
        )
    if options:
        raise ConfigError(
            f"{url!r} has options that SQLite does not know: {', '.join(sorted(options))}"
        )
    return SqliteEngine(path, durability=_durability(durability), clock=clock)


def _durability(name: str) -> Durability:
    match name:
        case "strict" | "standard" | "fast":
            return name
        case _:
            raise ConfigError(f"durability={name!r} is none of strict, standard, fast")
