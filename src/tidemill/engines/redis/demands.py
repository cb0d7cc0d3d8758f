"""What a server must be before Tidemill trusts it with tasks, and what it promises then.

    strict     a write is on the disk before it is answered (appendfsync always)
    standard   it is on the disk within a second or two (appendfsync everysec)
    fast       it is in memory: a restart loses it, or all since the last snapshot

Replicas that confirm every write (`?replicas=`, WAIT) raise the level of the disk by one: a write
is then lost only with several machines.

WAITAOF is not used to make `everysec` strict. Valkey up to 9.1.2 and Redis 7.4 answer it before
the disk has anything (redis/redis#13793, mended in Redis 8.0; a trace of Valkey 9.1.2 shows ten
answers between two calls of fdatasync), and where it tells the truth, a write takes a second.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from tidemill.engines.redis.address import Address, Durability, Place
from tidemill.engines.redis.faults import ErrorReply, Lost, rights
from tidemill.engines.redis.keys import channel
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.wire import SILENCE, packed
from tidemill.errors import EngineRefused

Kind = Literal["redis", "valkey"]

_OLDEST: Final[Mapping[Kind, tuple[int, ...]]] = {"redis": (6, 2), "valkey": (7, 2)}
_LEVELS: Final[tuple[Durability, ...]] = ("fast", "standard", "strict")


class Standing(msgspec.Struct, frozen=True):
    """What the servers of an address are; of several the weakest counts.

    `versions` is their software and its versions, and `mode`. `warnings` are sentences for the
    operator.
    """

    kind: Kind
    versions: dict[str, str]
    durability: Durability
    warnings: tuple[str, ...] = ()


class Server(msgspec.Struct, frozen=True):
    """One primary: what its INFO says, and its settings as far as we may read them."""

    at: str
    info: Mapping[str, str]
    settings: Mapping[str, str] | None

    @property
    def kind(self) -> Kind:
        """Which software it is."""
        return "valkey" if "valkey_version" in self.info else "redis"

    @property
    def version(self) -> str:
        """The version of that software."""
        return self.info.get("valkey_version") or self.info.get("redis_version", "0")

    @property
    def release(self) -> tuple[int, ...]:
        """Major and minor version."""
        major, minor, *_ = (*self.version.split("."), "0")
        return int(major), int(minor)


async def examine(link: Link, address: Address) -> Standing:
    """Ask every primary what it is; `EngineRefused` says why one cannot be used, and what to do."""
    infos = await link.each("INFO")
    settings = await _settings(link)
    servers = [
        Server(str(place), _fields(info), settings.get(place)) for place, info in infos.items()
    ]
    for server in servers:
        refuse(server, address)
    durability = min((level(server, address) for server in servers), key=_LEVELS.index)
    demanded = address.durability
    if demanded is not None and _LEVELS.index(durability) < _LEVELS.index(demanded):
        fsync = "always" if demanded == "strict" else "everysec"
        raise EngineRefused(
            f"{address.location} demands durability={demanded} and its servers give {durability}: "
            f"set appendonly yes and appendfsync {fsync} there, let replicas confirm every write "
            "(?replicas=1), or demand less"
        )
    doubts = [doubt for server in servers for doubt in doubts_about(server, address)]
    deaf = await _deaf(link, address)
    versions = ", ".join(sorted({server.version for server in servers}))
    return Standing(
        servers[0].kind,
        {servers[0].kind: versions, "mode": address.mode},
        durability,
        tuple(dict.fromkeys([*doubts, *deaf])),
    )


def refuse(server: Server, address: Address) -> None:
    """Raise `EngineRefused` for a server that would lose, hide or reject tasks."""
    info, at = server.info, server.at
    oldest = _OLDEST[server.kind]
    if server.release < oldest:
        raise EngineRefused(
            f"{at} is {server.kind} {server.version}: Tidemill needs {server.kind} "
            f"{'.'.join(map(str, oldest))} or newer; upgrade the server"
        )
    if info.get("cluster_enabled") == "1" and address.mode != "cluster":
        raise EngineRefused(
            f"{at} is a node of a cluster, and {address.location} is for a single server: "
            f"write redis+cluster://{at}"
        )
    if info.get("role", "master") != "master":
        primary = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        raise EngineRefused(
            f"{at} is a replica, which takes no writes: write the URL of its primary ({primary}), "
            "or redis+sentinel:// to follow whichever server is the primary"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise EngineRefused(
            f"{at} has maxmemory-policy {policy}, which drops tasks without a word when its memory "
            "is full: run CONFIG SET maxmemory-policy noeviction there and write it into the "
            "server's configuration file"
        )


def level(server: Server, address: Address) -> Durability:
    """What an answered write survives."""
    disk: Durability = "fast"
    if server.info.get("aof_enabled") == "1":
        match _fsync(server):
            case "always":
                disk = "strict"
            case "everysec":
                disk = "standard"
            case _:
                pass  # the system writes when it likes, after half a minute or so
    raised = _LEVELS.index(disk) + bool(address.replicas)
    return _LEVELS[min(raised, len(_LEVELS) - 1)]


def doubts_about(server: Server, address: Address) -> Iterator[str]:
    """What the operator should know of a server that can be used."""
    info, at = server.info, server.at
    if info.get("aof_enabled") != "1":
        yield f"{at} keeps no append-only file: a restart loses {_lost(server)}; set appendonly yes"
    elif server.settings is None:
        yield (
            f"{at} does not let us read appendfsync, so everysec is assumed: allow the user "
            "+config|get to know the durability level"
        )
    elif _fsync(server) == "no":
        yield f"{at} has appendfsync no: a power cut may lose the last half minute; set everysec"
    if info.get("aof_last_write_status", "ok") != "ok":
        yield f"{at} could not write its append-only file: is its disk full?"
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield f"{at} could not write its last snapshot: is its disk full, or its memory short?"
    connected = int(info.get("connected_slaves", "0"))
    if connected < address.replicas:
        yield (
            f"{at} has {connected} replicas and {address.replicas} must confirm every write: until "
            "more are connected every write is answered as unavailable"
        )
    elif connected and address.mode != "single" and not address.replicas:
        yield (
            f"{at} answers before its replicas have a write, so that a failover may lose the last "
            "ones: ?replicas=1 waits for one"
        )


def _fsync(server: Server) -> str:
    """The append-only file's policy; the default where we may not read it."""
    return (server.settings or {}).get("appendfsync", "everysec")


def _lost(server: Server) -> str:
    if server.settings is None:
        return "every task since the last snapshot"
    return "every task since the last snapshot" if server.settings.get("save") else "every task"


def _fields(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def _settings(link: Link) -> dict[Place, Mapping[str, str]]:
    """What CONFIG GET says on every primary; nothing where it is forbidden."""
    try:
        fsync = await link.each("CONFIG", "GET", "appendfsync")
        save = await link.each("CONFIG", "GET", "save")
    except EngineRefused:
        return {}
    return {place: _pairs([*fsync[place], *save[place]]) for place in fsync.keys() & save.keys()}


def _pairs(flat: list[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


async def _deaf(link: Link, address: Address) -> list[str]:
    """Whether we may subscribe to what wakes idle workers."""
    reply: Any
    try:
        wire = await link.dial(lambda _: None, silence=SILENCE)
        try:
            reply = await wire.ask(packed("SUBSCRIBE", channel(address.prefix)))
        finally:
            wire.close()
    except Lost:  # the next examination will tell
        return []
    if not isinstance(reply, ErrorReply):
        return []
    doubt = (
        f"{address.location} does not let us subscribe to {channel(address.prefix)}, so that idle "
        f"workers look for tasks only every 5 s: give the user {rights(address.prefix)} "
        f"({reply.words})"
    )
    return [doubt]
