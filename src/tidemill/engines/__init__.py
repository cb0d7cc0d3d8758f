"""The engines, and the one place that knows which URL means which."""

from importlib import import_module

from tidemill.clock import Clock
from tidemill.engine import Engine
from tidemill.errors import ConfigError

_SCHEMES = {
    "memory": "tidemill.engines.memory",
    "sqlite": "tidemill.engines.sqlite",
}


def open_engine(url: str, *, clock: Clock | None = None) -> Engine:
    """The engine that a URL names; it touches nothing until its first verb.

    `memory://`; `sqlite:///relative.db`, `sqlite:////absolute.db`, with
    `?durability=strict|standard|fast`. A URL that names no engine raises `ConfigError`.
    """
    scheme, found, _ = url.partition("://")
    if not found or scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ConfigError(f"{url!r} names no engine; known are {known}")
    opened: Engine = import_module(_SCHEMES[scheme]).from_url(url, clock=clock)
    return opened
