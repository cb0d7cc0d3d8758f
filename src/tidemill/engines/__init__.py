"""The engines, and the one place that knows which URL means which."""

from importlib import import_module

from tidemill.clock import Clock
from tidemill.engine import Engine
from tidemill.errors import ConfigError

_REDIS = "tidemill.engines.redis"
_SCHEMES = {
    "memory": "tidemill.engines.memory",
    "sqlite": "tidemill.engines.sqlite",
    **{
        f"{server}{way}": _REDIS
        for server in ("redis", "rediss", "valkey", "valkeys")
        for way in ("", "+sentinel", "+cluster")
    },
}


def open_engine(url: str, *, clock: Clock | None = None) -> Engine:
    """The engine that a URL names; it touches nothing until its first verb.

    `memory://`; `sqlite:///relative.db`, `sqlite:////absolute.db`, with
    `?durability=strict|standard|fast`; `redis://host:6379/0` and its kin, which
    `engines/redis/address.py` lists. A URL that names no engine raises `ConfigError`.
    """
    scheme, found, _ = url.partition("://")
    if not found or scheme not in _SCHEMES:
        known = "memory://, sqlite:///, redis:// (and rediss, redis+sentinel, redis+cluster)"
        raise ConfigError(f"{scheme + found!r} names no engine; known are {known}")
    try:
        module = import_module(_SCHEMES[scheme])
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{scheme}:// needs the package {error.name}: pip install 'tidemill[redis]'"
        ) from error
    opened: Engine = module.from_url(url, clock=clock)
    return opened
