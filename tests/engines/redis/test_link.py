"""Calls to one server: answers, faults that are got over, and errors that say what to do."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.engines.redis.samples import COUNT, COUNT_AGAIN, ECHO, ROOT, linked, script
from tests.servers.faults import CutAfter, CutBefore, Direction, Refuse, ResetAfter, Swallow
from tests.servers.proxy import Proxy
from tests.servers.server import KINDS, LASTING, TLS_KINDS, Kind, Server, server
from tests.servers.waiting import until
from tidemill.engines.redis.address import Place, parse
from tidemill.engines.redis.faults import ErrorReply, Lost, Remedy, ScriptRefusal
from tidemill.engines.redis.link import PATIENCE, Link
from tidemill.engines.redis.wire import open_wire, packed
from tidemill.errors import EngineFull, EngineRefused, EngineUnavailable

LONG = timedelta(minutes=1)


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One server for all tests that leave it as it was but for its keys."""
    with server(tmp_path_factory.mktemp("shared"), kind=request.param) as made:
        yield made


@pytest.fixture
def clean(shared: Server) -> Server:
    shared.command("FLUSHALL")
    return shared


@pytest.fixture(params=KINDS)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that a test may stop, with a file that outlives it."""
    with server(tmp_path, kind=request.param, config=LASTING) as made:
        yield made


# Answers


async def test_a_script_gets_its_root_key_and_its_arguments(clean: Server) -> None:
    async with linked(clean.url) as link:
        assert await link.call(ECHO, ROOT, "text", b"\x00\xff\r\n") == [
            ROOT.encode(),
            b"text",
            b"\x00\xff\r\n",
        ]


async def test_concurrent_calls_share_a_connection_and_get_their_own_answers(
    clean: Server,
) -> None:
    async with linked(clean.url) as link:
        before = connections(clean)
        answers = await asyncio.gather(*(link.call(ECHO, ROOT, str(n)) for n in range(500)))
        assert [int(answer[1]) for answer in answers] == list(range(500))
        assert connections(clean) == before + 1


def connections(server: Server) -> int:
    """How many clients it has that are not the one that asks."""
    return int(server.info()["connected_clients"]) - 1


async def test_a_caller_who_is_cancelled_does_not_disturb_the_others(clean: Server) -> None:
    async with linked(clean.url) as link:
        await link.call(ECHO, ROOT)
        calls = [asyncio.create_task(link.call(ECHO, ROOT, str(n))) for n in range(20)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls)
        assert [int(call.result()[1]) for call in calls[1::2]] == list(range(1, 20, 2))


async def test_a_caller_who_is_cancelled_while_connecting_leaves_the_connection_to_others(
    clean: Server,
) -> None:
    async with linked(clean.url) as link:
        first, second = (asyncio.create_task(link.call(ECHO, ROOT, n)) for n in "12")
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)[1] == b"2"


async def test_scan_answers_every_key_that_matches(clean: Server) -> None:
    wanted = {f"tidemill:{n}".encode() for n in range(3_000)}
    async with linked(clean.url) as link:
        await asyncio.gather(*(link.command("SET", key, "x") for key in wanted))
        await link.command("SET", "other", "x")
        pages = [page async for page in link.scan("tidemill:*")]
        assert {key for page in pages for key in page} == wanted
        assert len(pages) > 1


async def test_every_answers_of_each_primary(clean: Server) -> None:
    async with linked(clean.url) as link:
        assert await link.every("ECHO", "one") == [b"one"]
        assert await link.each("ECHO", "one") == {Place("127.0.0.1", clean.port): b"one"}


async def test_the_database_of_the_url_is_used(clean: Server) -> None:
    async with linked(f"redis://127.0.0.1:{clean.port}/5") as link:
        await link.call(COUNT, ROOT)
    assert "db5" in clean.info()


async def test_a_database_that_is_not_there_is_refused(clean: Server) -> None:
    async with linked(f"redis://127.0.0.1:{clean.port}/999") as link:
        with pytest.raises(EngineRefused, match="has no database 999"):
            await link.call(COUNT, ROOT)


# Blocking reads


async def test_block_returns_when_the_stream_gets_an_entry(clean: Server) -> None:
    async with linked(clean.url) as link:
        blocked = asyncio.create_task(link.block("stream", "0", LONG))
        until_blocked = asyncio.to_thread(until, lambda: blocked_clients(clean) == 1, "it blocks")
        await until_blocked
        await link.command("XADD", "stream", "*", "k", "v")
        await asyncio.wait_for(blocked, 10)


def blocked_clients(server: Server) -> int:
    return int(server.info()["blocked_clients"])


async def test_block_returns_at_once_when_there_is_an_entry_already(clean: Server) -> None:
    async with linked(clean.url) as link:
        await link.command("XADD", "stream", "*", "k", "v")
        await asyncio.wait_for(link.block("stream", "0", LONG), 10)


async def test_block_returns_at_its_timeout(clean: Server) -> None:
    async with linked(clean.url) as link:
        await asyncio.wait_for(link.block("stream", "0", timedelta(milliseconds=20)), 10)
        await asyncio.wait_for(link.block("stream", "0", timedelta(0)), 10)


async def test_other_calls_do_not_wait_for_one_that_blocks(clean: Server) -> None:
    async with linked(clean.url) as link:
        blocked = [asyncio.create_task(link.block("stream", "0", LONG)) for _ in range(3)]
        await asyncio.to_thread(until, lambda: blocked_clients(clean) == 3, "three block")
        assert (await asyncio.wait_for(link.call(ECHO, ROOT, "x"), 5))[1] == b"x"
        for task in blocked:
            task.cancel()
        await asyncio.wait(blocked)
        await asyncio.to_thread(until, lambda: blocked_clients(clean) == 0, "nobody blocks")


# Closing


async def test_closing_twice_is_closing_once_and_leaves_nothing(clean: Server) -> None:
    before = connections(clean)
    link = Link(parse(clean.url))
    await link.call(ECHO, ROOT)
    blocked = asyncio.create_task(link.block("stream", "0", LONG))
    await asyncio.to_thread(until, lambda: blocked_clients(clean) == 1, "it blocks")
    await link.close()
    await link.close()
    with pytest.raises(EngineUnavailable, match="is closed"):
        await blocked
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.to_thread(until, lambda: connections(clean) == before, "all are gone")


async def test_a_closed_session_says_so(clean: Server) -> None:
    link = Link(parse(clean.url))
    await link.close()
    for attempt in (link.call(ECHO, ROOT), link.command("PING"), link.block("s", "0", LONG)):
        with pytest.raises(EngineUnavailable, match="is closed: open another one"):
            await attempt


async def test_closing_while_a_call_connects_ends_the_call(own: Server) -> None:
    own.freeze()
    link = Link(parse(own.url))
    call = asyncio.create_task(link.call(ECHO, ROOT))
    await asyncio.sleep(0)
    await link.close()
    with pytest.raises(EngineUnavailable, match="is closed"):
        await call


# Faults that are got over


async def test_a_forgotten_script_is_sent_again(clean: Server) -> None:
    async with linked(clean.url) as link:
        assert await link.call(COUNT, ROOT) == 1
        clean.command("SCRIPT", "FLUSH")
        assert await link.call(COUNT, ROOT) == 2
        assert clean.command("SCRIPT", "EXISTS", COUNT.sha) == [1]


async def test_a_restarted_server_is_found_again(own: Server) -> None:
    async with linked(own.url) as link:
        assert await link.call(COUNT_AGAIN, ROOT) == 1
        await asyncio.to_thread(own.restart)
        assert await link.call(COUNT_AGAIN, ROOT) == 2


async def test_a_call_waits_for_a_server_that_is_back_within_the_patience(own: Server) -> None:
    async with linked(own.url) as link:
        await link.call(COUNT_AGAIN, ROOT)
        own.kill()
        call = asyncio.create_task(link.call(COUNT_AGAIN, ROOT))
        await asyncio.to_thread(own.start)
        assert await call == 2


async def test_a_server_that_stays_away_is_unavailable_and_then_found_again(own: Server) -> None:
    async with linked(own.url) as link:
        await link.call(COUNT, ROOT)
        own.kill()
        started = time.monotonic()
        with pytest.raises(EngineUnavailable) as error:
            await link.call(COUNT_AGAIN, ROOT)
        assert time.monotonic() - started < 2 * PATIENCE
        assert own.url in str(error.value)
        assert "sample was not carried out; it is safe to repeat" in str(error.value)
        await asyncio.to_thread(own.start)
        assert await link.call(COUNT, ROOT) == 2


async def test_an_answer_lost_after_the_commit_is_asked_for_again(clean: Server) -> None:
    async with Proxy(clean.port) as proxy, linked(f"redis://127.0.0.1:{proxy.port}") as link:
        assert await link.call(COUNT_AGAIN, ROOT) == 1
        proxy.fault = CutAfter(when=b"EVALSHA")
        assert await link.call(COUNT_AGAIN, ROOT) == 3  # 2 was lost on its way
        assert proxy.strikes == 1


async def test_a_request_that_never_arrived_is_made_again(clean: Server) -> None:
    async with Proxy(clean.port) as proxy, linked(f"redis://127.0.0.1:{proxy.port}") as link:
        assert await link.call(COUNT_AGAIN, ROOT) == 1
        proxy.fault = CutBefore(when=b"EVALSHA", times=2)
        assert await link.call(COUNT_AGAIN, ROOT) == 2
        assert proxy.strikes == 2


async def test_a_refused_connection_is_made_again(clean: Server) -> None:
    async with Proxy(clean.port) as proxy, linked(f"redis://127.0.0.1:{proxy.port}") as link:
        proxy.fault = Refuse()
        call = asyncio.create_task(link.call(COUNT, ROOT))  # certainly not sent
        await proxy.struck(2)
        proxy.heal()
        assert await call == 1


@pytest.mark.parametrize("size", [0, 1, 3, 9])
async def test_a_reset_in_the_middle_of_an_answer_is_a_lost_answer(
    clean: Server, size: int
) -> None:
    async with Proxy(clean.port) as proxy, linked(f"redis://127.0.0.1:{proxy.port}") as link:
        await link.call(ECHO, ROOT)
        proxy.fault = ResetAfter(size, when=b"EVALSHA")
        assert (await link.call(ECHO, ROOT, "x" * 100))[1] == b"x" * 100
        assert proxy.strikes == 1


async def test_a_lost_answer_is_unavailable_unless_the_script_is_repeatable(own: Server) -> None:
    async with linked(own.url) as link:
        await link.call(COUNT, ROOT)
        own.freeze()
        once = asyncio.create_task(link.call(COUNT, ROOT))
        again = asyncio.create_task(link.call(COUNT_AGAIN, ROOT))
        await asyncio.sleep(0)  # both are on their way
        own.kill()
        with pytest.raises(EngineUnavailable, match="may or may not have happened"):
            await once
        await asyncio.to_thread(own.start)
        assert await again == 2


async def test_a_loading_server_is_waited_for(tmp_path: Path) -> None:
    with server(tmp_path) as made:
        made.command("EVAL", "for i = 1, 1500 do redis.call('SET', 'k' .. i, 'x') end", 0)
        made.command("SAVE")
        made.kill()
        slowly = ("--key-load-delay", "400", "--loading-process-events-interval-bytes", "1024")
        starting = asyncio.create_task(asyncio.to_thread(made.start, *slowly))
        await asyncio.to_thread(until, lambda: is_loading(made), "it loads")
        async with linked(made.url) as link:
            assert await link.command("DBSIZE") == 1_500
        await starting


def is_loading(server: Server) -> bool:
    try:
        server.command("PING")
    except ResponseError as error:
        return "LOADING" in str(error)
    return False


async def test_a_primary_that_became_a_replica_is_unavailable_until_it_is_one_again(
    own: Server,
) -> None:
    async with linked(own.url) as link:
        await link.call(COUNT, ROOT)
        own.command("REPLICAOF", "127.0.0.1", 1)
        with pytest.raises(EngineUnavailable, match="READONLY"):
            await link.call(COUNT, ROOT)
        call = asyncio.create_task(link.call(COUNT, ROOT))
        await asyncio.sleep(0)
        own.command("REPLICAOF", "NO", "ONE")
        assert await call == 2


async def test_a_server_that_takes_no_more_clients_is_unavailable_until_it_does(
    own: Server,
) -> None:
    async with linked(own.url) as first, linked(own.url) as second:
        await first.call(COUNT_AGAIN, ROOT)
        own.command("CONFIG", "SET", "maxclients", 1)
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await second.call(COUNT_AGAIN, ROOT)
        await first.close()
        await second.call(COUNT_AGAIN, ROOT)


# Half-open connections


async def test_a_server_that_owes_an_answer_in_silence_is_taken_for_gone(own: Server) -> None:
    wire = await open_wire(Place("127.0.0.1", own.port), parse(own.url), silence=0.1)
    own.freeze()
    asked = [wire.ask(packed("PING")) for _ in range(3)]
    for answer in asked:
        with pytest.raises(Lost, match="has not answered") as lost:
            await answer
        assert lost.value.sent
    assert wire.closed
    await asyncio.wait_for(wire.ended(), 1)


async def test_a_connection_may_be_idle_for_longer_than_an_answer_may_take(own: Server) -> None:
    wire = await open_wire(Place("127.0.0.1", own.port), parse(own.url), silence=0.05)
    assert await wire.ask(packed("PING")) == b"PONG"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.ended(), 0.2)
    assert await wire.ask(packed("PING")) == b"PONG"
    wire.close()


async def test_a_server_that_falls_silent_while_we_connect_is_lost(own: Server) -> None:
    own.freeze()
    with pytest.raises(Lost, match="did not answer") as lost:
        await open_wire(Place("127.0.0.1", own.port), parse(own.url), timeout=0.1)
    assert not lost.value.sent


async def test_half_open_connections_are_replaced_within_fifteen_seconds(tmp_path: Path) -> None:
    with server(tmp_path) as made:
        async with asyncio.timeout(15):
            await asyncio.gather(_half_open(made, "requests"), _half_open(made, "replies"))


async def _half_open(server: Server, direction: Direction) -> None:
    async with Proxy(server.port) as proxy, linked(f"redis://127.0.0.1:{proxy.port}") as link:
        await link.call(ECHO, ROOT)
        proxy.fault = Swallow(direction, when=b"NOW")
        blocked = asyncio.create_task(link.block("NOW", "0", LONG))
        once = asyncio.create_task(link.command("ECHO", "NOW"))
        again = asyncio.create_task(link.call(ECHO, ROOT, "again"))
        await proxy.struck(2)
        proxy.heal()
        server.command("XADD", "NOW", "*", "k", "v")
        with pytest.raises(EngineUnavailable, match="has not answered for 10 s"):
            await once
        assert (await again)[1] == b"again"
        await blocked


# Errors that say what to do


async def test_what_a_script_refuses_comes_as_its_slug_and_detail(clean: Server) -> None:
    refusing = script("return redis.error_reply('TIDEMILL format-unknown 7 is not 1')")
    async with linked(clean.url) as link:
        with pytest.raises(ScriptRefusal) as refusal:
            await link.call(refusing, ROOT)
        assert (refusal.value.slug, refusal.value.detail) == ("format-unknown", "7 is not 1")


async def test_a_foreign_value_under_our_key_is_named(clean: Server) -> None:
    async with linked(clean.url) as link:
        await link.command("SET", f"{ROOT}n", "no number", key=ROOT)
        pushing = script("return redis.call('LPUSH', KEYS[1] .. 'n', 1)")
        with pytest.raises(EngineRefused, match="WRONGTYPE") as error:
            await link.call(pushing, ROOT)
        assert ROOT in str(error.value)
        assert "prefix" in str(error.value)
        with pytest.raises(EngineRefused, match="not an integer"):
            await link.call(COUNT, ROOT)


async def test_a_fault_of_a_script_is_never_hidden(clean: Server) -> None:
    async with linked(clean.url) as link:
        with pytest.raises(
            EngineRefused, match=r"refused sample.*nonexistent global variable 'nothing'"
        ):
            await link.call(script("return nothing.there"), ROOT)


async def test_a_server_without_memory_is_full(clean: Server) -> None:
    clean.command("CONFIG", "SET", "maxmemory", 1)
    try:
        async with linked(clean.url) as link:
            with pytest.raises(EngineFull, match="maxmemory"):
                await link.call(COUNT, ROOT)
            assert await link.call(ECHO, ROOT) == [ROOT.encode()]
    finally:
        clean.command("CONFIG", "SET", "maxmemory", 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_cannot_write_its_disk_is_full(tmp_path: Path, kind: Kind) -> None:
    with server(tmp_path, kind=kind, config={"save": "3600 1"}) as made:
        (tmp_path / "dump.rdb").mkdir()  # in the way
        made.command("SET", "k", "v")
        made.command("BGSAVE")
        until(lambda: made.info()["rdb_last_bgsave_status"] == "err", "the snapshot fails")
        async with linked(made.url) as link:
            with pytest.raises(EngineFull, match="MISCONF"):
                await link.call(COUNT, ROOT)
        (tmp_path / "dump.rdb").rmdir()


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", Remedy.NONE),
        ("READONLY You can't write against a read only replica.", "READONLY", Remedy.ELSEWHERE),
        (
            "READONLY You can't write. script: 0a1b, on @user_script:1.",
            "READONLY",
            Remedy.ELSEWHERE,
        ),
        (
            "ERR Error running script (call to f_0a1b): @user_script:1: @user_script: 1: -READONLY",
            "READONLY",
            Remedy.ELSEWHERE,
        ),
        (
            "ERR Error running script (call to f_0a1b): @user_script:3: OOM command not allowed",
            "OOM",
            Remedy.NONE,
        ),
        (
            "ERR Error running script (call to f_0a1b): @user_script:1: attempt to index nil",
            "ERR",
            Remedy.NONE,
        ),
        (
            "ERR Error running script (call to f_0): The user executing the script can't run this",
            "NOPERM",
            Remedy.NONE,
        ),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT", Remedy.LOAD),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN", Remedy.AGAIN),
        ("ASK 3999 127.0.0.1:6381", "ASK", Remedy.AGAIN),
    ],
)
def test_an_error_is_known_by_its_code_also_where_a_script_wraps_it(
    words: str, code: str, remedy: Remedy
) -> None:
    reply = ErrorReply(words)
    assert (reply.code, reply.remedy) == (code, remedy)


# Who we are


async def test_the_password_is_read_anew_at_each_connection(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    with server(tmp_path / "server", config={"requirepass": "first"}) as made:
        url = f"redis://127.0.0.1:{made.port}?password_file={secret}"
        async with linked(url) as link:
            assert await link.call(COUNT, ROOT) == 1
            made.command("CONFIG", "SET", "requirepass", "second")
            secret.write_text("second\n")
            made.command("CLIENT", "KILL", "TYPE", "normal")
            assert await link.call(COUNT_AGAIN, ROOT) == 2


async def test_a_password_comes_from_the_url_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "open")
    with server(tmp_path, config={"requirepass": "open"}) as made:
        for user, query in (("default:open@", ""), (":open@", ""), ("", "?password_env=SECRET")):
            async with linked(f"redis://{user}127.0.0.1:{made.port}/0{query}") as link:
                assert await link.command("PING") == b"PONG"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user", ["", ":wrong@", "nobody:wrong@"])
async def test_a_wrong_login_is_refused_without_showing_it(
    tmp_path: Path, kind: Kind, user: str
) -> None:
    with server(tmp_path, kind=kind, config={"requirepass": "open"}) as made:
        async with linked(f"redis://{user}127.0.0.1:{made.port}") as link:
            with pytest.raises(EngineRefused, match="check them in") as error:
                await link.call(COUNT, ROOT)
            assert "wrong@" not in str(error.value)


async def test_a_password_that_nobody_asked_for_is_refused(clean: Server) -> None:
    async with linked(f"redis://:any@127.0.0.1:{clean.port}") as link:
        with pytest.raises(EngineRefused, match="does not accept our user or password"):
            await link.command("PING")


@pytest.mark.parametrize("kind", TLS_KINDS)
async def test_tls_is_spoken_and_checked(tmp_path: Path, kind: Kind) -> None:
    with server(tmp_path, kind=kind, tls=True) as made:
        shown = made.certificates
        assert shown is not None
        async with linked(f"{made.url}?ca={shown.authority}") as link:
            assert await link.call(COUNT, ROOT) == 1
        async with linked(made.url) as link:
            with pytest.raises(EngineRefused, match=r"cannot be trusted.*\?ca="):
                await link.call(COUNT, ROOT)


@pytest.mark.parametrize("kind", TLS_KINDS)
async def test_a_certificate_for_another_host_is_refused(tmp_path: Path, kind: Kind) -> None:
    with server(tmp_path, kind=kind, tls=True, config={"bind": "127.0.0.1 127.0.0.2"}) as made:
        shown = made.certificates
        assert shown is not None
        async with linked(f"rediss://127.0.0.2:{made.port}?ca={shown.authority}") as link:
            with pytest.raises(EngineRefused, match=r"certificate is not valid for '127\.0\.0\.2'"):
                await link.call(COUNT, ROOT)


@pytest.mark.parametrize("kind", TLS_KINDS)
async def test_a_server_with_tls_may_ask_for_our_certificate(tmp_path: Path, kind: Kind) -> None:
    with server(tmp_path, kind=kind, tls=True) as made:
        shown = made.certificates
        assert shown is not None
        made.command("CONFIG", "SET", "tls-auth-clients", "yes")
        async with linked(f"{made.url}?ca={shown.authority}") as link:
            with pytest.raises((EngineRefused, EngineUnavailable)):
                await link.call(COUNT, ROOT)
        ours = f"ca={shown.authority}&cert={shown.certificate}&key={shown.key}"
        async with linked(f"{made.url}?{ours}") as link:
            assert await link.call(COUNT, ROOT) == 1


async def test_tls_files_that_cannot_be_read_are_named(clean: Server) -> None:
    async with linked(f"rediss://127.0.0.1:{clean.port}?ca=/no/such.pem") as link:
        with pytest.raises(EngineRefused, match=r"/no/such\.pem"):
            await link.command("PING")


async def test_a_server_without_tls_is_told_apart(clean: Server) -> None:
    place, address = Place("127.0.0.1", clean.port), parse(f"rediss://127.0.0.1:{clean.port}")
    with pytest.raises(Lost, match="does it speak TLS"):
        await open_wire(place, address, timeout=0.2)
