"""URLs that users chose, answered by a real server on the loopback."""

from datetime import timedelta
from ipaddress import ip_network

import pytest

from tests.outbound.receiver import Reply, receiving
from tidemill import Permanent, Retry
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.fetch import Fetch, Fetched

LOOPBACK = (ip_network("127.0.0.0/8"),)


def moved(to: str, status: int = 302) -> Reply:
    return Reply(status, (("Location", to),))


async def test_a_page_comes_with_what_tells_whether_it_changed() -> None:
    headers = (("ETag", '"1"'), ("Last-Modified", "then"), ("Content-Type", "text/html"))
    async with receiving(Reply(200, headers, b"hello")) as server, Fetch(allow=LOOPBACK) as fetch:
        assert await fetch.get(server.url()) == Fetched(
            url=server.url(), body=b"hello", content_type="text/html", etag='"1"', modified="then"
        )


async def test_a_page_that_did_not_change_has_no_body() -> None:
    async with receiving(Reply(304)) as server, Fetch(allow=LOOPBACK) as fetch:
        same = await fetch.get(server.url(), etag='"1"', modified="then")
        assert same == Fetched(url=server.url(), body=None, etag='"1"', modified="then")
        (asked,) = server.got
    assert asked.headers["if-none-match"] == '"1"'
    assert asked.headers["if-modified-since"] == "then"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_to_where_they_lead(status: int) -> None:
    replies = (moved("/b", status), moved("c?d#e", status), Reply(200, (), b"there"))
    async with receiving(*replies) as server, Fetch(allow=LOOPBACK) as fetch:
        found = await fetch.get(server.url(path="/a"))
        assert (found.body, found.url) == (b"there", server.url(path="/c?d"))
        assert [each.target for each in server.got] == ["/a", "/b", "/c?d"]


async def test_redirects_end_after_the_limit() -> None:
    async with receiving(moved("/again")) as server:
        async with Fetch(allow=LOOPBACK, most_redirects=3) as fetch:
            with pytest.raises(Permanent, match="more than 3 times") as refused:
                await fetch.get(server.url())
        assert refused.value.code == "outbound_refused"
        assert len(server.got) == 4


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/", "http://[::1]/", "ftp://example.org/", "http://a:b@127.0.0.1/"]
)
async def test_a_redirect_goes_through_the_guard_like_the_first_url(target: str) -> None:
    async with receiving(moved(target)) as server, Fetch(allow=LOOPBACK) as fetch:
        with pytest.raises(Permanent) as refused:
            await fetch.get(server.url())
        assert refused.value.code == "outbound_refused"
        assert len(server.got) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost/", "file:///etc/passwd"])
async def test_this_machine_is_refused_by_default(url: str) -> None:
    async with Fetch() as fetch:
        with pytest.raises(Permanent) as refused:
            await fetch.get(url)
    assert refused.value.code == "outbound_refused"


@pytest.mark.parametrize("url", ["", "page", "http://", "http://[bad/", "http://a:port/"])
async def test_what_is_no_url_is_refused_for_good(url: str) -> None:
    async with Fetch() as fetch:
        with pytest.raises(Permanent):
            await fetch.get(url)


async def test_a_page_that_is_too_large_is_refused() -> None:
    async with receiving(Reply(200, (), b"x" * 101)) as server:
        async with Fetch(allow=LOOPBACK, most_bytes=100) as fetch:
            with pytest.raises(Permanent, match="more than 100 bytes"):
                await fetch.get(server.url())
        async with Fetch(allow=LOOPBACK, most_bytes=101) as fetch:
            assert (await fetch.get(server.url())).body == b"x" * 101


async def test_answers_that_are_no_success_mean_what_they_mean_to_a_task() -> None:
    replies = (Reply(404), Reply(503), Reply(429, (("Retry-After", "7"),)), Reply(304))
    async with receiving(*replies) as server, Fetch(allow=LOOPBACK) as fetch:
        url = server.url(path="/feed?token=hunter2")
        with pytest.raises(Permanent, match="answered 404") as missing:
            await fetch.get(url)
        assert missing.value.code == "not_found"
        assert "hunter2" not in str(missing.value)
        with pytest.raises(Unavailable, match="answered 503"):
            await fetch.get(url)
        with pytest.raises(Retry) as later:
            await fetch.get(url)
        assert later.value.after == timedelta(seconds=7)
        with pytest.raises(Permanent, match="answered 304"):
            await fetch.get(url)  # which was asked for nothing of the kind


async def test_a_server_that_never_answers_can_be_tried_again() -> None:
    within = timedelta(seconds=0.2)
    async with (
        receiving(Reply(silent=True)) as server,
        Fetch(allow=LOOPBACK, within=within) as fetch,
    ):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await fetch.get(server.url())


async def test_a_cookie_of_one_page_is_not_sent_to_the_next() -> None:
    reply = Reply(200, (("Set-Cookie", "a=b"),))
    async with receiving(reply) as server, Fetch(allow=LOOPBACK) as fetch:
        await fetch.get(server.url())
        await fetch.get(server.url())
        assert ["cookie" in each.headers for each in server.got] == [False, False]
