"""Waking idle workers: what wakes them, what does not, and that nothing keeps them asleep."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.engines.redis.samples import linked
from tests.servers.cluster import cluster
from tests.servers.faults import CutBefore, Refuse, Swallow
from tests.servers.guarded import guarded
from tests.servers.proxy import Proxy
from tests.servers.server import KINDS, Server, server
from tests.servers.waiting import until
from tidemill.engines.redis import wake
from tidemill.engines.redis.wake import Wake

CHANNEL = "tidemill:ready"
LONG = timedelta(minutes=5)
SOON = timedelta(milliseconds=50)
AT_ONCE = timedelta(0)


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with server(tmp_path_factory.mktemp("shared"), kind=request.param) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path) as made:
        yield made


@pytest.fixture
def no_slow_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a message ends a wait: a test that waits in vain times out."""
    monkeypatch.setattr(wake, "LONGEST_WAIT", 600.0)


@contextlib.asynccontextmanager
async def listening(url: str, *queues: tuple[str, ...] | None) -> AsyncIterator[Wake]:
    """A wake whose subscription is there, and that these waiters know of."""
    async with linked(url) as link:
        made = Wake(link, CHANNEL)
        for wanted in queues or (None,):
            await made.wait(wanted, LONG)
        try:
            yield made
        finally:
            await made.close()


async def wakes(made: Wake, queues: tuple[str, ...] | None, timeout: timedelta = LONG) -> bool:
    """Whether a wait ended clearly before its timeout, which a loop may round to milliseconds."""
    started = time.monotonic()
    await made.wait(queues, timeout)
    return time.monotonic() - started < 0.8 * timeout.total_seconds()


@pytest.mark.usefixtures("no_slow_poll")
async def test_the_first_wait_returns_once_the_subscription_is_there(shared: Server) -> None:
    async with linked(shared.url) as link:
        made = Wake(link, CHANNEL)
        await made.wait(None, LONG)
        assert shared.command("PUBSUB", "NUMSUB", CHANNEL) == [CHANNEL.encode(), 1]
        await made.close()


@pytest.mark.usefixtures("no_slow_poll")
async def test_a_message_wakes_who_waits_for_one_of_its_queues(shared: Server) -> None:
    async with listening(shared.url, ("a", "b"), None) as made:
        one = asyncio.create_task(made.wait(("a", "b"), LONG))
        anyone = asyncio.create_task(made.wait(None, LONG))
        await asyncio.sleep(0)
        shared.command("PUBLISH", CHANNEL, "x b y")
        await asyncio.gather(one, anyone)


async def test_a_message_about_other_queues_wakes_nobody(shared: Server) -> None:
    async with listening(shared.url, ("a",), ("b",)) as made:
        waiting = asyncio.create_task(wakes(made, ("a",), SOON))
        await asyncio.sleep(0)
        shared.command("PUBLISH", CHANNEL, "b")
        await made.wait(("b",), LONG)
        assert not await waiting


@pytest.mark.usefixtures("no_slow_poll")
async def test_a_message_between_two_waits_is_not_lost(shared: Server) -> None:
    async with listening(shared.url, ("a",), ("b",)) as made:
        shared.command("PUBLISH", CHANNEL, "a b")
        await made.wait(("b",), LONG)  # so it has arrived
        assert await wakes(made, ("a",))


async def test_several_messages_are_one_wake(shared: Server) -> None:
    async with listening(shared.url, ("a",), ("end",)) as made:
        for _ in range(5):
            shared.command("PUBLISH", CHANNEL, "a")
        shared.command("PUBLISH", CHANNEL, "end")
        await made.wait(("end",), LONG)
        assert await wakes(made, ("a",))
        assert not await wakes(made, ("a",), SOON)


async def test_a_wait_returns_at_its_timeout(shared: Server) -> None:
    async with listening(shared.url, ("a",), ()) as made:
        assert not await wakes(made, ("a",), SOON)
        assert not await wakes(made, ("a",), AT_ONCE)
        assert not await wakes(made, (), SOON)


async def test_the_next_wait_ends_when_something_is_expected(shared: Server) -> None:
    async with listening(shared.url, ("a",), ("b",)) as made:
        made.expect(("a",), 5_000)
        assert not await wakes(made, ("b",), SOON)
        assert await wakes(made, ("a",))
        assert not await wakes(made, ("a",), SOON)


async def test_what_is_expected_last_counts(shared: Server) -> None:
    async with listening(shared.url, ("a",)) as made:
        made.expect(("a",), 5_000)
        made.expect(("a",), 0)
        assert not await wakes(made, ("a",), SOON)
        made.expect(("a",), 1)
        assert await wakes(made, ("a",))


async def test_no_wait_is_longer_than_the_slow_poll(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wake.LONGEST_WAIT <= 5
    monkeypatch.setattr(wake, "LONGEST_WAIT", 0.02)
    async with listening(shared.url, ("a",)) as made:
        assert await wakes(made, ("a",), LONG)


@pytest.mark.usefixtures("no_slow_poll")
async def test_everybody_is_woken_after_the_server_was_away(own: Server) -> None:
    async with listening(own.url, ("a",), ("b",)) as made:
        waiting = [asyncio.create_task(made.wait((queue,), LONG)) for queue in "ab"]
        await asyncio.to_thread(own.restart)
        await asyncio.gather(*waiting)
        assert own.command("PUBSUB", "NUMSUB", CHANNEL) == [CHANNEL.encode(), 1]


async def test_without_a_server_a_wait_only_times_out(own: Server) -> None:
    own.stop()
    async with linked(own.url) as link:
        made = Wake(link, CHANNEL)
        assert not await wakes(made, None, SOON)
        await asyncio.to_thread(own.start)
        await made.wait(None, LONG)
        await made.close()


@pytest.mark.usefixtures("no_slow_poll")
async def test_a_subscription_that_fails_is_made_again(shared: Server) -> None:
    async with Proxy(shared.port) as proxy:
        proxy.fault = CutBefore(when=b"SUBSCRIBE", times=3)
        async with listening(f"redis://127.0.0.1:{proxy.port}"):
            assert proxy.strikes == 3


@pytest.mark.usefixtures("no_slow_poll")
async def test_a_half_open_subscription_is_noticed_within_fifteen_seconds(own: Server) -> None:
    async with (
        Proxy(own.port) as proxy,
        listening(f"redis://127.0.0.1:{proxy.port}", ("a",)) as made,
    ):
        proxy.fault = Swallow("replies")
        own.command("PUBLISH", CHANNEL, "a")  # swallowed
        await proxy.struck()
        proxy.heal()
        async with asyncio.timeout(15):
            await made.wait(("a",), LONG)


async def test_a_forbidden_channel_only_makes_waits_long(tmp_path: Path) -> None:
    with server(tmp_path, users={"narrow": ">pw ~* +@all resetchannels"}) as made:
        async with linked(f"redis://narrow:pw@127.0.0.1:{made.port}") as link:
            deaf = Wake(link, CHANNEL)
            assert not await wakes(deaf, None, SOON)
            await deaf.close()


@pytest.mark.usefixtures("no_slow_poll")
async def test_closing_lets_everybody_go_on_and_leaves_nothing(own: Server) -> None:
    async with listening(own.url, ("a",)) as made:
        waiting = asyncio.create_task(made.wait(("a",), LONG))
        await asyncio.sleep(0)
        await made.close()
        await made.close()
        await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not await wakes(made, ("a",), SOON)
    await asyncio.to_thread(
        until, lambda: own.command("PUBSUB", "CHANNELS") == [], "nobody listens"
    )


async def test_closing_while_it_connects_ends_it(shared: Server) -> None:
    async with Proxy(shared.port) as proxy, linked(f"redis://127.0.0.1:{proxy.port}") as link:
        proxy.fault = Refuse()
        made = Wake(link, CHANNEL)
        assert not await wakes(made, None, SOON)
        await made.close()
        assert made._listener is None


@pytest.mark.usefixtures("no_slow_poll")
async def test_on_a_cluster_every_node_can_wake(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes:
        url = f"redis+cluster://127.0.0.1:{nodes[2].port}"
        async with listening(url, ("a",)) as made:
            for node in nodes:
                node.command("PUBLISH", CHANNEL, "a")
                await made.wait(("a",), LONG)


@pytest.mark.usefixtures("no_slow_poll")
async def test_after_a_failover_the_new_primary_wakes(tmp_path: Path) -> None:
    with guarded(tmp_path) as watched:
        async with listening(watched.url, ("a",)) as made:
            promoted = await asyncio.to_thread(watched.fail_over, kill=True)
            await made.wait(("a",), LONG)  # everybody is woken
            promoted.command("PUBLISH", CHANNEL, "a")
            await made.wait(("a",), LONG)
