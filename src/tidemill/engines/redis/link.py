"""Calls to the servers: routed, confirmed, repeated while a fault is short.

What a server did not carry out (it was loading, it is no primary, nothing was sent) is repeated
with growing, jittered waits for two seconds; a call whose answer was lost only if it is
repeatable. Then it is `EngineUnavailable`, and the caller decides.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from datetime import timedelta
from itertools import chain, count
from typing import Any, Final, Literal

import msgspec

from tidemill.backoff import exponential
from tidemill.engines.redis.address import Address, Place
from tidemill.engines.redis.confirmed import Confirmed
from tidemill.engines.redis.faults import (
    ErrorReply,
    Lost,
    Remedy,
    Unconfirmed,
    translated,
    unavailable,
    unconfirmed,
)
from tidemill.engines.redis.routes import route
from tidemill.engines.redis.scripts import Script
from tidemill.engines.redis.wire import Wire, Word, open_wire, packed
from tidemill.errors import EngineError, EngineUnavailable

_WATCH_EVERY: Final = 1.0  # seconds
PATIENCE: Final = 2.0  # seconds

_WAITS: Final = exponential(0.05, cap=0.5, jitter=True)
_AT_ONCE: Final = frozenset({Remedy.LOAD, Remedy.MOVE})
_TIMES_AT_ONCE: Final = 3
_SLICE_MS: Final = 5_000  # a blocking read is asked anew this often, to notice a silent server
_SCAN_COUNT: Final = 1_000

Way = Literal["shared", "confirmed", "own"]


class Request(msgspec.Struct, frozen=True):
    """One command, to the server that holds `key` or to `place`.

    `args` are those of a script, to send it whole where a server does not know it.
    """

    what: str
    data: bytes
    key: str | None
    way: Way = "shared"
    repeatable: bool = False
    script: Script | None = None
    args: tuple[bytes | str, ...] = ()
    place: Place | None = None


class Link:
    """Reaches the servers of an address, from one event loop; connects when first used."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._route = route(address)
        self._wires: dict[tuple[Place, Way], Wire | Confirmed] = {}
        self._idle: dict[Place, list[Wire]] = {}
        self._alone_now: set[Wire] = set()
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}
        self._writes: Way = "confirmed" if address.replicas else "shared"
        self._watched = 0.0
        self._closed = False

    async def call(self, script: Script, root: str, *args: bytes | str) -> Any:
        """Run a script on the shard of a root key; answers what it returned.

        Raises `ScriptRefusal` for what the script itself refused.
        """
        data = packed("EVALSHA", script.sha, 1, root, *args)
        way = self._writes if script.writes else "shared"
        return await self._done(
            Request(script.name, data, root, way, script.repeatable, script, args)
        )

    async def command(self, *words: Word, key: str | None = None) -> Any:
        """Send one command to the primary that holds a key, None for any.

        It is repeated only while it certainly was not carried out.
        """
        return await self._done(Request(str(words[0]), packed(*words), key))

    async def every(self, *words: Word) -> list[Any]:
        """Send one command to every primary; answers in the order of their addresses."""
        return list((await self.each(*words)).values())

    async def each(self, *words: Word) -> dict[Place, Any]:
        """Send one command to every primary; answers by address, in that order."""
        data = packed(*words)
        return {
            place: await self._done(Request(str(words[0]), data, None, place=place))
            for place in await self._primaries()
        }

    async def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """The keys that match a glob pattern, on every primary, in pages; some may come twice."""
        for place in await self._primaries():
            cursor: Word = 0
            while cursor != b"0":
                data = packed("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
                request = Request("SCAN", data, None, repeatable=True, place=place)
                cursor, keys = await self._done(request)
                if keys:
                    yield keys

    async def block(self, key: str, after: str, timeout: timedelta) -> None:
        """Return when a stream has an entry after the id `after` (never `$`), or at the timeout."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout.total_seconds()
        while (left := int((end - loop.time()) * 1_000)) > 0:
            slice_ms = min(left, _SLICE_MS)
            data = packed("XREAD", "COUNT", 1, "BLOCK", slice_ms, "STREAMS", key, after)
            if await self._done(Request("XREAD", data, key, "own", repeatable=True)):
                return

    async def dial(self, told: Callable[[bytes], None], *, silence: float) -> Wire:
        """Open one more connection to any primary, for the caller to close.

        `told` and `silence` as for `open_wire`. Raises `Lost`; it repeats nothing.
        """
        place = self._route.known(None) or await self._found(None)
        try:
            return await open_wire(place, self.address, told=told, silence=silence)
        except Lost:
            self._route.forget(place)
            raise

    async def close(self) -> None:
        """End every connection. Closing twice is closing once."""
        self._closed = True
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        idle = chain.from_iterable(self._idle.values())
        for wire in (*self._wires.values(), *idle, *self._alone_now):
            wire.close()
        self._wires.clear()
        self._idle.clear()

    async def _primaries(self) -> tuple[Place, ...]:
        await self.command("ECHO", "")  # until one has answered, the others may not be known
        return self._route.primaries()

    async def _done(self, request: Request) -> Any:
        """The answer to a request, over whatever short faults there are."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        for times in count(1):
            fault: Lost | ErrorReply
            try:
                reply = await self._answer(request)
            except Lost as lost:
                fault = lost
            except Unconfirmed as lacking:
                self._route.forget(lacking.place)  # perhaps it is the primary no more
                raise unconfirmed(self.address.location, lacking, what=request.what) from lacking
            else:
                if not isinstance(reply, ErrorReply):
                    return reply
                fault = reply
            request = self._mended(request, fault)
            if times < _TIMES_AT_ONCE and fault.remedy in _AT_ONCE:
                continue
            if times == 1 and isinstance(fault, Lost) and fault.sent:
                end = loop.time() + PATIENCE  # it may have waited long for an answer
            wait = _WAITS.delay(times).total_seconds()
            if loop.time() + wait > end:
                raise unavailable(self.address.location, fault, what=request.what) from fault
            await asyncio.sleep(wait)
        raise AssertionError

    def _mended(self, request: Request, fault: Lost | ErrorReply) -> Request:
        """What to send the next time; raises where sending again is wrong or no use."""
        location, what = self.address.location, request.what
        if isinstance(fault, Lost):
            if fault.sent and not request.repeatable:
                raise unavailable(location, fault, what=what) from fault
            return request
        match fault.remedy:
            case Remedy.LOAD if request.script is not None:
                source, root = request.script.source, request.key or ""
                data = packed("EVAL", source, 1, root, *request.args)
                return msgspec.structs.replace(request, data=data)
            case Remedy.MOVE:
                self._route.moved(fault.moved())
            case Remedy.LOAD | Remedy.NONE:
                raise translated(self.address, fault, what=what, key=request.key) from fault
        return request

    async def _answer(self, request: Request) -> Any:
        """Ask the right server once."""
        self._watch_the_primary()
        place = request.place or self._route.known(request.key) or await self._found(request.key)
        try:
            if request.way == "own":
                return await self._alone(place, request.data)
            wire = self._wires.get((place, request.way)) or await self._wire(place, request.way)
            if wire.closed:
                wire = await self._wire(place, request.way)
            reply = await wire.ask(request.data)
        except Lost:
            self._route.forget(place)
            raise
        if isinstance(reply, ErrorReply) and reply.remedy is Remedy.ELSEWHERE:
            self._route.forget(place)
            wire.close()
        return reply

    def _watch_the_primary(self) -> None:
        """Ask the sentinels now and then: a deposed primary takes writes for a while, in vain."""
        now = asyncio.get_running_loop().time()
        if self.address.mode != "sentinel" or now < self._watched + _WATCH_EVERY:
            return
        self._watched = now
        if "watch" not in self._tasks and not self._closed:
            task = self._tasks["watch"] = asyncio.create_task(self._follow_the_primary())
            task.add_done_callback(lambda done: self._made("watch", done))

    async def _follow_the_primary(self) -> None:
        with contextlib.suppress(Lost, EngineError):
            await self._route.learn(self._ask)
        primaries = self._route.primaries()
        idle = chain.from_iterable(self._idle.values())
        for wire in (*self._wires.values(), *idle, *self._alone_now):
            if primaries and wire.place not in primaries:
                wire.close()

    async def _alone(self, place: Place, data: bytes) -> Any:
        """Ask on a connection that nobody else uses meanwhile."""
        self._check_open()
        idle = self._idle.setdefault(place, [])
        while idle and idle[-1].closed:
            idle.pop()
        wire = idle.pop() if idle else await open_wire(place, self.address)
        self._alone_now.add(wire)
        try:
            reply = await wire.ask(data)
        except BaseException:
            wire.close()
            raise
        finally:
            self._alone_now.discard(wire)
        idle.append(wire)
        return reply

    async def _wire(self, place: Place, way: Way) -> Wire | Confirmed:
        """The connection that all requests of one way share."""
        made: Wire | Confirmed = await self._once((place, way), lambda: self._connect(place, way))
        return made

    async def _connect(self, place: Place, way: Way) -> Wire | Confirmed:
        wire = await open_wire(place, self.address)
        made = Confirmed(wire, self.address.replicas) if way == "confirmed" else wire
        self._wires[place, way] = made
        return made

    async def _found(self, key: str | None) -> Place:
        """The server of a key, asked for."""
        await self._once("route", lambda: self._route.learn(self._ask))
        place = self._route.known(key)
        if place is None:
            at = self.address.places[0]
            raise Lost(at, "no server of the cluster has this key's slot", sent=False)
        return place

    async def _ask(self, place: Place, data: bytes) -> Any:
        wire = self._wires.get((place, "shared"))
        if wire is None or wire.closed:
            wire = await self._wire(place, "shared")
        return await wire.ask(data)

    async def _once(self, name: Hashable, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do something for all who want it now; a caller who is cancelled does not end it."""
        self._check_open()
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._made(name, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                self._check_open()
            raise

    def _made(self, name: Hashable, task: asyncio.Task[Any]) -> None:
        del self._tasks[name]
        if not task.cancelled():
            task.exception()  # seen, also where every caller is gone

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailable(
                f"this session with {self.address.location} is closed: open another one"
            )
