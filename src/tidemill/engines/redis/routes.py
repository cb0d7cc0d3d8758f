"""Which server holds a key: the only one, the primary of a service, or a node of a cluster."""

import binascii
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final, Protocol

from tidemill.engines.redis.address import Address, Place
from tidemill.engines.redis.faults import ErrorReply, Lost
from tidemill.engines.redis.wire import open_wire, packed
from tidemill.errors import EngineRefused

SLOTS: Final = 16_384

Ask = Callable[[Place, bytes], Awaitable[Any]]
"""Asks one server a packed command; raises `Lost`."""


class Route(Protocol):
    """Knows which server holds a key."""

    def known(self, key: str | None) -> Place | None:
        """The primary that holds a key (None: any), or None where `learn` has to ask first."""
        ...

    async def learn(self, ask: Ask) -> None:
        """Ask who holds what; raises `Lost` or `EngineRefused`."""
        ...

    def primaries(self) -> tuple[Place, ...]:
        """Every primary that was known last."""
        ...

    def forget(self, place: Place) -> None:
        """Something is wrong with a server: ask again before using any."""
        ...

    def moved(self, place: Place) -> None:
        """A server said that another one has what was asked for."""
        ...


def route(address: Address) -> Route:
    """The route of an address."""
    match address.mode:
        case "single":
            return Single(address)
        case "sentinel":
            return Watched(address)
        case "cluster":
            return Slots(address)


class Single:
    """One server, always the same."""

    def __init__(self, address: Address) -> None:
        (self._place,) = address.places
        self._location = address.location

    def known(self, key: str | None) -> Place | None:  # noqa: ARG002  # one place for all keys
        return self._place

    async def learn(self, ask: Ask) -> None:
        """There is nothing to learn."""

    def primaries(self) -> tuple[Place, ...]:
        return (self._place,)

    def forget(self, place: Place) -> None:
        """There is no other one."""

    def moved(self, place: Place) -> None:
        raise single_cluster(self._location, place)


class Watched:
    """The primary of a service, as its sentinels say."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sentinels = list(address.places)
        self._primary: Place | None = None

    def known(self, key: str | None) -> Place | None:  # noqa: ARG002  # one place for all keys
        return self._primary

    async def learn(self, ask: Ask) -> None:  # noqa: ARG002  # sentinels are asked in another way
        """Ask one sentinel after the other; the one that answers is the first next time."""
        lost: Lost | None = None
        for sentinel in tuple(self._sentinels):
            try:
                self._primary = await self._asked(sentinel)
            except Lost as fault:
                lost = fault
            else:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return
        assert lost is not None
        raise lost

    def primaries(self) -> tuple[Place, ...]:
        return (self._primary,) if self._primary else ()

    def forget(self, place: Place) -> None:
        if self._primary == place:
            self._primary = None

    def moved(self, place: Place) -> None:
        raise single_cluster(self._address.location, place)

    async def _asked(self, sentinel: Place) -> Place:
        service = self._address.service
        wire = await open_wire(sentinel, self._address, sentinel=True, timeout=1.0, silence=1.0)
        try:
            answer = await wire.ask(packed("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service))
        finally:
            wire.close()
        if isinstance(answer, ErrorReply):
            raise Lost(sentinel, answer.words, sent=False)
        if answer is None:
            raise EngineRefused(
                f"the sentinel {sentinel} watches no service called {service!r}: write one that "
                f"`SENTINEL MASTERS` lists into {self._address.location}"
            )
        host, port = answer
        return Place(host.decode(), int(port))


class Slots:
    """The nodes of a cluster; any of them tells which slots the others have."""

    def __init__(self, address: Address) -> None:
        self._seeds = address.places
        self._nodes = list(address.places)
        self._map: list[Place | None] = [None] * SLOTS
        self._stale = True

    def known(self, key: str | None) -> Place | None:
        if self._stale:
            return None
        return self._map[0 if key is None else slot_of(key)]

    async def learn(self, ask: Ask) -> None:
        lost: Lost | None = None
        for node in tuple(self._nodes):
            try:
                self._map = await _asked(node, ask)
            except Lost as fault:
                lost = fault
                continue
            # Those of the URL stay known: their names may lead elsewhere the next time.
            self._nodes = list(dict.fromkeys((*self.primaries(), *self._seeds)))
            self._stale = False
            return
        assert lost is not None
        raise lost

    def primaries(self) -> tuple[Place, ...]:
        return tuple(sorted({place for place in self._map if place is not None}))

    def forget(self, place: Place) -> None:
        self._stale = True
        if place in self._nodes:  # the others are asked first
            self._nodes.remove(place)
            self._nodes.append(place)

    def moved(self, place: Place) -> None:
        self._stale = True
        if place.host:  # else it is one that the server gives no host
            self._nodes = list(dict.fromkeys((place, *self._nodes)))  # it knows best


async def _asked(node: Place, ask: Ask) -> list[Place | None]:
    """Who has which slot, as one node says; a node that it gives no host is itself."""
    answer = await ask(node, packed("CLUSTER", "SLOTS"))
    if isinstance(answer, ErrorReply):
        if "cluster support disabled" in answer.words:
            raise EngineRefused(f"{node} is not part of a cluster: write redis://{node}/0")
        raise Lost(node, answer.words, sent=False)
    places: list[Place | None] = [None] * SLOTS
    for first, last, (host, port, *_), *_replicas in answer:
        place = Place(host.decode() if host and host != b"?" else node.host, port)
        places[first : last + 1] = [place] * (last + 1 - first)
    return places


@lru_cache(4_096)
def slot_of(key: str) -> int:
    """The hash slot of a key: CRC16 of what stands in its first braces, or else of all of it."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    hashed = tag if opened and closed and tag else key
    return binascii.crc_hqx(hashed.encode(), 0) % SLOTS


def single_cluster(location: str, place: Place) -> EngineRefused:
    """A cluster was reached as if it were one server."""
    return EngineRefused(f"{location} leads to a cluster: write redis+cluster://{place}")
