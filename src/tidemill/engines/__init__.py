"""The engines, and the one place that knows which URL means which."""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Indexed(Protocol):
    """An engine that people search by an index, which follows the tasks a little behind.

    `find` takes in some of what it does not know yet.
    """

    async def reindex(self, told: Callable[[int], None]) -> int:
        """Index all tasks again; tells how many it has so far, and answers how many there were."""
        ...

    async def unindexed(self) -> int:
        """Transitions that the index does not know; never 0 while all tasks are indexed again."""
        ...


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
