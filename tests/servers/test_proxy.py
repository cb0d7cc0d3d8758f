import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import hiredis
import pytest

from tests.servers.certificates import certificates
from tests.servers.client import Word, ask, packed
from tests.servers.faults import CutAfter, CutBefore, Delay, Refuse, ResetAfter, Swallow
from tests.servers.proxy import Proxy
from tests.servers.server import Server, server
from tests.servers.waiting import until

FOREVER = 3600.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def target(shared: Server) -> Server:
    shared.command("FLUSHALL")
    return shared


class Client:
    """A connection that says exactly what it hears."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._reader = hiredis.Reader()

    async def send(self, *words: Word) -> None:
        await asyncio.get_running_loop().sock_sendall(self._link, packed(*words))

    async def hear(self) -> Any:
        """One answer; `EOFError` at the end, `ConnectionResetError` after an RST."""
        while (answer := self._reader.gets()) is False:
            self._reader.feed(await self.some())
        return answer

    async def some(self) -> bytes:
        some = await asyncio.get_running_loop().sock_recv(self._link, 1 << 16)
        if not some:
            raise EOFError
        return some

    async def ask(self, *words: Word) -> Any:
        await self.send(*words)
        return await self.hear()


@contextlib.asynccontextmanager
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    with socket.socket() as link:
        link.setblocking(False)
        await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", proxy.port))
        yield Client(link)


async def test_without_a_fault_everything_goes_through_in_its_order(target: Server) -> None:
    value = bytes(range(256)) * 4096
    async with Proxy(target.port) as proxy, client(proxy) as one:
        assert await one.ask("SET", "big", value) == b"OK"
        assert await one.ask("GET", "big") == value
        for number in range(100):
            await one.send("ECHO", number)
        assert [await one.hear() for _ in range(100)] == [b"%d" % n for n in range(100)]
        assert (proxy.fault, proxy.strikes, proxy.connections) == (None, 0, 1)


async def test_the_end_of_one_side_is_the_end_of_the_other(target: Server) -> None:
    async with Proxy(target.port) as proxy:
        async with client(proxy) as one:
            number = await one.ask("CLIENT", "ID")
        await asyncio.to_thread(until, lambda: not _connected(target, number), "it was closed")
        async with client(proxy) as one:
            target.command("CLIENT", "KILL", "ID", await one.ask("CLIENT", "ID"))
            with pytest.raises(EOFError):
                await one.hear()


async def test_a_delayed_request_has_not_arrived_until_it_is_healed(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = Delay(FOREVER, "requests")
        answer = asyncio.create_task(one.ask("INCR", "n"))
        await proxy.struck()
        assert target.command("GET", "n") is None
        assert not answer.done()
        proxy.heal()
        assert await answer == 1


async def test_a_delayed_reply_is_of_a_request_that_was_done(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = Delay(FOREVER, "replies")
        answer = asyncio.create_task(one.ask("INCR", "n"))
        await proxy.struck()
        assert target.command("GET", "n") == b"1"
        assert not answer.done()
        proxy.heal()
        assert await answer == 1


async def test_a_delay_of_both_directions_lasts_twice_its_time(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = Delay(0.02)
        before = time.monotonic()
        assert await one.ask("PING") == b"PONG"
        assert time.monotonic() - before >= 0.04
        assert proxy.strikes == 2


async def test_only_the_delayed_reply_is_late(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one, client(proxy) as other:
        proxy.fault = Delay(FOREVER, "replies", when=b"INCR")
        assert await one.ask("PING") == b"PONG"
        answer = asyncio.create_task(one.ask("INCR", "n"))
        await proxy.struck()
        assert await other.ask("GET", "n") == b"1"
        assert not answer.done()
        assert proxy.strikes == 1
        proxy.heal()
        assert await answer == 1


async def test_a_cut_before_a_request_means_it_never_arrived(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        assert await one.ask("PING") == b"PONG"
        proxy.fault = CutBefore()
        with pytest.raises(EOFError):
            await one.ask("INCR", "n")
        await proxy.struck()
        assert target.command("GET", "n") is None
        async with client(proxy) as again:
            assert await again.ask("INCR", "n") == 1


async def test_a_cut_after_a_request_means_it_was_done(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        assert await one.ask("PING") == b"PONG"
        proxy.fault = CutAfter()
        with pytest.raises(EOFError):
            await one.ask("INCR", "n")
        await proxy.struck()
        assert target.command("GET", "n") == b"1"
        async with client(proxy) as again:
            assert await again.ask("INCR", "n") == 2


@pytest.mark.parametrize("kind", [CutBefore, CutAfter])
async def test_a_cut_hits_the_verb_that_is_meant_as_often_as_told(
    target: Server, kind: type[CutBefore | CutAfter]
) -> None:
    async with Proxy(target.port) as proxy:
        proxy.fault = kind(times=2, when=b"INCR")
        for struck in (1, 2):
            async with client(proxy) as one:
                assert await one.ask("SET", "other", 1) == b"OK"
                with pytest.raises(EOFError):
                    await one.ask("INCR", "n")
            assert proxy.strikes == struck
        async with client(proxy) as one:
            assert await one.ask("INCR", "n") == (1 if kind is CutBefore else 3)
        assert proxy.strikes == 2


async def test_the_replies_before_the_one_that_is_cut_arrive(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = CutAfter(when=b"INCR")
        for words in (("ECHO", 1), ("ECHO", 2), ("INCR", "n"), ("ECHO", 3)):
            await one.send(*words)
        assert [await one.hear(), await one.hear()] == [b"1", b"2"]
        with pytest.raises(EOFError):
            await one.hear()
        assert target.command("GET", "n") == b"1"


async def test_a_cut_that_was_healed_in_time_does_not_come(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = CutAfter(when=b"BLPOP")
        answer = asyncio.create_task(one.ask("BLPOP", "line", 0))
        await _blocked(target)
        proxy.heal()
        target.command("RPUSH", "line", "a")
        assert await answer == [b"line", b"a"]


@pytest.mark.parametrize("protocol", [2, 3])
async def test_pushed_messages_are_not_taken_for_replies(
    target: Server, protocol: Literal[2, 3]
) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        await one.ask("HELLO", protocol)
        proxy.fault = CutAfter(when=b"PING")
        await one.ask("SUBSCRIBE", "wake")
        target.command("PUBLISH", "wake", "a")
        assert await one.hear() == [b"message", b"wake", b"a"]
        with pytest.raises(EOFError):
            await one.ask("PING")
        assert proxy.strikes == 1


async def test_a_push_that_overtakes_a_reply_does_not_save_it_from_a_cut(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        await one.ask("HELLO", 3)
        await one.ask("SUBSCRIBE", "wake")
        proxy.fault = CutAfter(when=b"BLPOP")
        await one.send("BLPOP", "line", 0)
        await _blocked(target)
        target.command("PUBLISH", "wake", "a")
        assert await one.hear() == [b"message", b"wake", b"a"]
        target.command("RPUSH", "line", "a")
        with pytest.raises(EOFError):
            await one.hear()
        assert target.command("LLEN", "line") == 0


async def test_a_cut_does_not_hit_a_request_that_was_there_before_it(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        answer = asyncio.create_task(one.ask("BLPOP", "line", 0))
        await _blocked(target)
        proxy.fault = CutAfter()
        target.command("RPUSH", "line", "a")
        assert await answer == [b"line", b"a"]
        with pytest.raises(EOFError):
            await one.ask("PING")


async def test_a_server_does_not_hear_swallowed_requests_nor_their_end(target: Server) -> None:
    async with Proxy(target.port) as proxy:
        async with client(proxy) as one:
            number = await one.ask("CLIENT", "ID")
            proxy.fault = Swallow("requests")
            await one.send("INCR", "n")
            await proxy.struck()
            proxy.heal()
            await one.send("INCR", "n")
        async with client(proxy) as again:
            assert await again.ask("INCR", "n") == 1
        assert _connected(target, number)


async def test_a_client_does_not_hear_swallowed_replies_nor_their_end(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        number = await one.ask("CLIENT", "ID")
        proxy.fault = Swallow("replies")
        answer = asyncio.create_task(one.ask("INCR", "n"))
        await proxy.struck()
        assert target.command("GET", "n") == b"1"
        proxy.heal()
        target.command("CLIENT", "KILL", "ID", number)
        async with client(proxy) as again:
            assert await again.ask("INCR", "n") == 2
        assert not answer.done()
        await _give_up(answer)


async def test_a_subscriber_does_not_hear_swallowed_messages(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        await one.ask("SUBSCRIBE", "wake")
        proxy.fault = Swallow("replies")
        assert target.command("PUBLISH", "wake", "a") == 1
        await proxy.struck()
        heard = asyncio.create_task(one.hear())
        async with client(proxy) as again:
            proxy.heal()
            assert await again.ask("PING") == b"PONG"
        assert not heard.done()
        await _give_up(heard)


async def test_a_request_that_waits_already_loses_its_reply_to_a_swallow(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        answer = asyncio.create_task(one.ask("BLPOP", "line", 0))
        await _blocked(target)
        proxy.fault = Swallow("replies")
        target.command("RPUSH", "line", "a")
        await proxy.struck()
        assert target.command("LLEN", "line") == 0
        assert not answer.done()
        await _give_up(answer)


async def test_a_reset_comes_after_so_many_bytes_of_replies(target: Server) -> None:
    target.command("SET", "text", "x" * 1000)
    async with Proxy(target.port) as proxy, client(proxy) as one:
        assert await one.ask("PING") == b"PONG"
        proxy.fault = ResetAfter(100)
        await one.send("PING")
        assert await one.some() == b"+PONG\r\n"
        await one.send("GET", "text")
        assert await one.some() == b"$1000\r\n" + b"x" * 86
        with pytest.raises(ConnectionResetError):
            await one.some()
        assert proxy.strikes == 1
        async with client(proxy) as again:
            assert await again.ask("GET", "text") == b"x" * 1000


async def test_a_reset_in_a_request_means_it_was_not_done(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = ResetAfter(20, "requests", when=b"APPEND")
        assert await one.ask("SET", "text", "a" * 1000) == b"OK"
        with pytest.raises(ConnectionResetError):
            await one.ask("APPEND", "text", "b" * 1000)
        assert target.command("STRLEN", "text") == 1000


async def test_refused_are_new_connections_only(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as old:
        assert await old.ask("PING") == b"PONG"
        proxy.fault = Refuse()
        for struck in (1, 2):
            async with client(proxy) as new:
                with pytest.raises(ConnectionResetError):
                    await new.hear()
            assert proxy.strikes == struck
        assert await old.ask("PING") == b"PONG"
        proxy.heal()
        async with client(proxy) as new:
            assert await new.ask("PING") == b"PONG"


async def test_before_a_dead_server_connections_are_reset(tmp_path: Path) -> None:
    with server(tmp_path) as dead:
        dead.kill()
        async with Proxy(dead.port) as proxy, client(proxy) as one:
            with pytest.raises(ConnectionResetError):
                await one.hear()


async def test_all_connections_can_be_cut_at_once(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one, client(proxy) as two:
        assert [await one.ask("PING"), await two.ask("PING")] == [b"PONG", b"PONG"]
        await proxy.cut()
        for end in (one, two):
            with pytest.raises(EOFError):
                await end.hear()
        assert proxy.connections == 0


async def test_the_next_fault_counts_its_strikes_from_zero(target: Server) -> None:
    async with Proxy(target.port) as proxy, client(proxy) as one:
        proxy.fault = Delay(0)
        await one.ask("PING")
        await proxy.struck(2)
        proxy.heal()
        assert proxy.strikes == 2
        proxy.fault = CutBefore()
        assert proxy.strikes == 0


async def test_clients_may_speak_tls_to_a_proxy_before_a_plain_server(
    target: Server, tmp_path: Path
) -> None:
    made = certificates(tmp_path)
    async with Proxy(target.port, tls=made) as proxy:
        assert await asyncio.to_thread(ask, proxy.port, "SET", "a", 1, tls=made) == b"OK"
        proxy.fault = CutAfter(when=b"INCR")
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(ask, proxy.port, "INCR", "a", tls=made)
    assert target.command("GET", "a") == b"2"


async def _blocked(target: Server) -> None:
    await asyncio.to_thread(
        until, lambda: target.info()["blocked_clients"] == "1", "a client was blocked"
    )


async def _give_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _connected(target: Server, number: int) -> bool:
    return f"id={number} ".encode() in target.command("CLIENT", "LIST")
