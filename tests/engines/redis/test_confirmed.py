"""Writes that replicas must confirm."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.engines.redis.samples import COUNT, ECHO, ROOT, linked, script
from tests.servers.guarded import Guarded, guarded
from tests.servers.server import KINDS
from tidemill.errors import EngineRefused, EngineUnavailable


@pytest.fixture(scope="module", params=KINDS)
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("watched"), kind=request.param) as made:
        yield made


async def test_a_confirmed_write_is_in_the_replica(watched: Guarded) -> None:
    watched.primary.command("FLUSHALL")
    before = waits(watched)
    async with linked(f"{watched.url}?replicas=1") as link:
        await asyncio.gather(*(link.call(COUNT, ROOT) for _ in range(100)))
        assert int(watched.replica.command("GET", f"{ROOT}n")) == 100
        assert waits(watched) > before


async def test_a_write_that_no_replica_confirms_is_unavailable(watched: Guarded) -> None:
    async with linked(f"{watched.primary.url}?replicas=1") as link:
        before = await link.call(COUNT, ROOT)
        watched.replica.freeze()
        try:
            with pytest.raises(EngineUnavailable) as error:
                await link.call(COUNT, ROOT)
            reading = await link.call(ECHO, ROOT)
        finally:
            watched.replica.thaw()
        told = "recorded by the primary, but only 0 of 1 replicas confirmed it within 1 s"
        assert told in str(error.value)
        assert "safe to repeat" in str(error.value)
        assert reading == [ROOT.encode()]
        assert await link.call(COUNT, ROOT) == before + 2


async def test_concurrent_writes_share_their_confirmation(watched: Guarded) -> None:
    async with linked(f"{watched.primary.url}?replicas=1") as link:
        await link.call(COUNT, ROOT)
        before = waits(watched)
        await asyncio.gather(*(link.call(COUNT, ROOT) for _ in range(50)))
        assert waits(watched) - before == 1


def waits(watched: Guarded) -> int:
    stats = watched.primary.command("INFO", "commandstats").decode()
    calls = [line.partition("calls=")[2] for line in stats.splitlines() if "_wait:" in line]
    return int(calls[0].partition(",")[0]) if calls else 0


async def test_a_refusal_needs_no_confirmation(watched: Guarded) -> None:
    failing = script("return redis.call('LPUSH', KEYS[1] .. 'n', 1)")
    async with linked(f"{watched.primary.url}?replicas=2") as link:
        watched.primary.command("SET", f"{ROOT}n", 1)
        with pytest.raises(EngineRefused, match="WRONGTYPE"):
            await link.call(failing, ROOT)


async def test_a_forgotten_script_is_sent_again_and_confirmed(watched: Guarded) -> None:
    async with linked(f"{watched.primary.url}?replicas=1") as link:
        before = await link.call(COUNT, ROOT)
        watched.primary.command("SCRIPT", "FLUSH")
        assert await link.call(COUNT, ROOT) == before + 1


async def test_a_caller_who_is_cancelled_does_not_disturb_the_round(watched: Guarded) -> None:
    async with linked(f"{watched.primary.url}?replicas=1") as link:
        await link.call(COUNT, ROOT)
        calls = [asyncio.create_task(link.call(COUNT, ROOT)) for _ in range(10)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls)
        assert all(isinstance(call.result(), int) for call in calls[1::2])
