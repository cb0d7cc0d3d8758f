"""What is not used: stores of another format, servers that would lose tasks, transactions."""

from pathlib import Path

import pytest

from tests.engines.redis.hands import Look, command, looking, opened
from tests.servers.server import server
from tidemill import Tidemill
from tidemill.engines import open_engine
from tidemill.engines.redis.engine import FORMAT
from tidemill.errors import EngineRefused, SchemaTooNew
from tidemill.testing.builders import new_task


async def set_format(look: Look, form: int) -> str:
    """Mark the store as one of this format; the key that says so."""
    meta = look.key("meta", queue="/")
    await look.ask("HSET", meta, "format", form)
    return meta


async def test_a_store_is_marked_with_its_format_once(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        meta = look.key("meta", queue="/")
        assert await look.ask("HGETALL", meta) == [b"format", str(FORMAT).encode()]
        await lab.engine.migrate()
        assert lab.engine.info.versions["format"] == str(FORMAT)


async def test_a_store_of_a_newer_tidemill_is_refused_and_left_as_it_is(url: str) -> None:
    async with looking(url) as look:
        meta = await set_format(look, FORMAT + 1)
        before = await look.keys()
        with pytest.raises(SchemaTooNew, match="upgrade Tidemill") as error:
            async with opened(url):
                pass
        assert (error.value.found, error.value.supported) == (FORMAT + 1, FORMAT)
        assert await look.keys() == before
        assert await look.ask("HGET", meta, "format") == str(FORMAT + 1).encode()


async def test_a_store_of_an_older_format_is_refused_with_what_to_do(url: str) -> None:
    async with looking(url) as look:
        await set_format(look, FORMAT - 1)
        with pytest.raises(EngineRefused, match=f"format {FORMAT - 1}.*choose another prefix"):
            async with opened(url):
                pass
        async with opened(f"{url}2") as lab:
            assert await lab.claimed() == []


async def test_an_application_says_at_its_first_call_that_its_store_is_refused(url: str) -> None:
    async with looking(url) as look:
        await set_format(look, FORMAT + 1)
        app = Tidemill(url)

        @app.task
        async def quick() -> None: ...

        with pytest.raises(SchemaTooNew):
            await quick.enqueue()
        await set_format(look, FORMAT)
        assert (await quick.enqueue()).id
        await app.close()


async def test_a_server_that_drops_keys_is_refused_before_anything_is_stored(
    tmp_path: Path,
) -> None:
    with server(tmp_path, config={"maxmemory-policy": "allkeys-lru"}) as made:
        with pytest.raises(EngineRefused, match="noeviction"):
            async with opened(made.url):
                pass
        assert command(made.url, "DBSIZE") == [0]


async def test_a_foreign_value_under_our_prefix_is_refused_with_its_key(url: str) -> None:
    async with looking(url) as look:
        await look.ask("SET", look.key("meta", queue="/"), "somebody else's")
        with pytest.raises(EngineRefused, match=r"holds something else.*\?prefix="):
            async with opened(url):
                pass


async def test_transactions_are_refused_with_what_to_do_instead(url: str) -> None:
    async with opened(url) as lab:
        with pytest.raises(EngineRefused, match="enqueue after your commit"):
            lab.engine.transaction()
        task = new_task()
        with pytest.raises(EngineRefused, match="outbox"):
            await lab.engine.enqueue([task], tx=object())
        with pytest.raises(EngineRefused, match="outbox"):
            await lab.engine.settle([], tx=object())
        assert await lab.find() == []


async def test_a_task_without_a_time_zone_is_refused_whole(url: str) -> None:
    async with opened(url) as lab:
        naive = lab.now().replace(tzinfo=None)
        with pytest.raises(ValueError, match="no time zone"):
            await lab.enqueue(lab.new(), lab.new(run_at=naive))
        assert await lab.find() == []


async def test_a_session_refuses_what_its_own_store_refuses(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        await set_format(look, FORMAT + 1)
        session = lab.engine.session()
        with pytest.raises(SchemaTooNew):
            await session.migrate()
        await session.close()


def test_urls_of_a_cluster_and_of_one_server_make_their_engines() -> None:
    one, many = open_engine("redis://localhost"), open_engine("redis+cluster://a:1,b:2")
    assert (one.info.atomic, many.info.atomic) == ("batch", "queue")
    assert one.info.ordered == many.info.ordered == "lane"
    assert not one.info.transactional
