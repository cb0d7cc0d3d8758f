"""A primary, its replicas and the sentinels that watch them."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from redis import ResponseError

from tests.servers.client import converse
from tests.servers.server import Kind, Server, prepared
from tests.servers.waiting import until

#: The name under which the sentinels know the primary.
SERVICE = "tidemill"

# A replica in step after 0.1 s. Without a file, its stream only begins with the acknowledgement
# that it sends every second; with one, Valkey 9.1 looks every second whether it has come.
_CONFIG = {"repl-diskless-sync": "no", "repl-diskless-load": "on-empty-db"}

# Sentinels look around once in seconds; a test has no such time. Two things must stay: pings come
# more often than the silence that means death, and what is known about a replica counts for five of
# them, while in an emergency it is asked for once in a second.
_HASTE = ("info-period", "100", "ping-period", "300", "ask-period", "100", "publish-period")


class Guarded:
    """Servers of which one is the primary, who that is being up to the sentinels."""

    def __init__(self, servers: list[Server], sentinels: list[Server]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def primary(self) -> Server:
        """Whom the first sentinel names, dead or alive."""
        _, port = self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    @property
    def replica(self) -> Server:
        """The first of the others, dead or alive."""
        return self.replicas[0]

    @property
    def replicas(self) -> list[Server]:
        """All but the primary, dead or alive."""
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def fail_over(self, *, kill: bool = False) -> Server:
        """Make a replica the primary and answer it: by order, or because the primary was killed.

        Returns when the sentinels name it, it is writable, and every living replica is in step.
        Whoever was killed stays dead until `mend`.
        """
        self.settle()
        before = self.primary
        if kill:
            before.kill()
        else:
            self._order(before)
        until(lambda: self.primary is not before, f"another than {before.port} was the primary")
        self.settle()
        return self.primary

    def mend(self) -> None:
        """Start the dead servers as replicas of the primary; returns when they are in step."""
        port = self.primary.port
        for server in self.servers:
            if not server.running:
                server.start("--replicaof", f"127.0.0.1 {port}")
        self.settle()

    def settle(self) -> None:
        """Wait until sentinels and living servers agree about a primary, with replicas in step."""
        until(self._settled, "the sentinels and the living servers agreed about a primary")
        until(self._in_step, "every living replica had what the primary has")

    def _order(self, before: Server) -> None:
        """Order a failover until there is one: a sentinel on a busy machine may give it up."""
        for _ in range(3):
            until(self._ordered, "the sentinel found a replica fit to be the primary")
            with contextlib.suppress(TimeoutError):
                until(lambda: self.primary is not before, "the order was followed", seconds=10)
                return

    def _ordered(self) -> bool:
        """Order a failover; a sentinel on a busy machine may not have heard of a replica lately."""
        try:
            self.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        except ResponseError as refusal:
            if "NOGOODSLAVE" not in str(refusal) and "INPROG" not in str(refusal):
                raise
            return "INPROG" in str(refusal)
        return True

    def _settled(self) -> bool:
        primary = self.primary
        followers = [one for one in self.servers if one is not primary and one.running]
        return (
            primary.command("ROLE")[0] == b"master"
            and all(_follows(follower, primary) for follower in followers)
            and all(self._sees(sentinel, primary, followers) for sentinel in self.sentinels)
        )

    def _in_step(self) -> bool:
        # WAIT counts what its own connection wrote, hence a write that leaves nothing behind.
        living = sum(replica.running for replica in self.replicas)
        answers = converse(
            self.primary.port, [("PUBLISH", "tests", "in step"), ("WAIT", living, 1000)]
        )
        return bool(answers[1] >= living)

    def _sees(self, sentinel: Server, primary: Server, followers: list[Server]) -> bool:
        seen = _fields(sentinel.command("SENTINEL", "MASTER", SERVICE))
        replicas = [
            _fields(replica) for replica in sentinel.command("SENTINEL", "REPLICAS", SERVICE)
        ]
        # One without a run id was not looked at yet, and would not be promoted.
        fit = {
            int(replica["port"])
            for replica in replicas
            if replica["flags"] == replica["role-reported"] == "slave" and replica["runid"]
        }
        return (
            seen["port"] == str(primary.port)
            and seen["flags"] == "master"
            and seen["num-other-sentinels"] == str(len(self.sentinels) - 1)
            and fit == {follower.port for follower in followers}
        )


@contextlib.contextmanager
def guarded(
    folder: Path,
    replicas: int = 1,
    sentinels: int = 1,
    *,
    kind: Kind = "valkey",
    config: Mapping[str, str] = {},
) -> Iterator[Guarded]:
    """A started primary with replicas that are in step, and sentinels that know all of them.

    A sentinel takes a server for dead after 1 s of silence; more than half of them decide.
    """
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(
                prepared(folder / f"server{number}", kind=kind, config={**_CONFIG, **config})
            )
            for number in range(replicas + 1)
        ]
        servers[0].start()
        for server in servers[1:]:
            server.start("--replicaof", f"127.0.0.1 {servers[0].port}")
        watch = {
            "sentinel monitor": f"{SERVICE} 127.0.0.1 {servers[0].port} {sentinels // 2 + 1}",
            "sentinel down-after-milliseconds": f"{SERVICE} 1000",
            "sentinel failover-timeout": f"{SERVICE} 2000",
        }
        watchers = [
            stack.enter_context(
                prepared(folder / f"sentinel{number}", kind=kind, config=watch, sentinel=True)
            )
            for number in range(sentinels)
        ]
        # Four publishing periods after somebody was promoted, a sentinel that has not heard why
        # makes it a replica again; the one that promoted it looks once in a second.
        for watcher in watchers:
            watcher.start()
            watcher.command("SENTINEL", "DEBUG", *_HASTE, 100 if sentinels == 1 else 1000)
        made = Guarded(servers, watchers)
        made.settle()
        yield made


def _follows(follower: Server, primary: Server) -> bool:
    role = follower.command("ROLE")
    return bool(role[0] == b"slave" and role[2] == primary.port and role[3] == b"connected")


def _fields(flat: list[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
