"""The guarded client against URLs that lead inside, and a name whose answer changes."""

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from tests.outbound.receiver import Reply, receiving
from tests.servers.certificates import certificates
from tidemill import OutboundRefused
from tidemill.outbound import checked_url, guarded_client

LOOPBACK = [ip_network("127.0.0.0/8")]

INSIDE = (
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0.0.0.0/",
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://LocalHost:8443/",
    "https://metadata.localhost/",
    "https://10.0.0.1/",
    "https://0x0a000001/",
    "https://167772161/",
    "https://012.0.0.1/",
    "https://172.16.5.4/",
    "https://192.168.1.1/admin",
    "https://0xc0a80101/",
    "https://3232235777/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.254.43518/",
    "https://169.254.170.2/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:db8::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[fe80::1]/",
    "https://[ff02::1]/",
    "https://127.0.0.1:22/",
    "https://127。0。0。1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://ｌｏｃａｌｈｏｓｔ/",
    "http://example.org/",
    "http://127.0.0.1/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "unix:///var/run/docker.sock",
    "//example.org/",
    "example.org",
    "https:///path",
    "https://",
    "",
    "https://user@example.org/",
    "https://user:password@example.org/",
    "https://example.org@127.0.0.1/",
    "https://127.0.0.1#@example.org/",
    "https://127.0.0.1?@example.org/",
    "https://example.org\\@127.0.0.1/",
    "https://example.org\r\nHost: inside/",
    "https://exam ple.org/",
    "https://example.org:99999/",
    "https://[::1/",
    "https://" + "a" * 3000,
)

THE_SYSTEM_TRANSLATES = (
    "https://127。0。0。1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://ｌｏｃａｌｈｏｓｔ/",
)
"""Names in which only a look-up finds an address: what is checked is what the look-up answers."""


@pytest.mark.parametrize("url", INSIDE)
async def test_a_request_to_what_is_not_of_the_internet_is_never_sent(url: str) -> None:
    async with guarded_client() as client:
        with pytest.raises((OutboundRefused, httpx.InvalidURL, httpx.UnsupportedProtocol)):
            await client.post(url, content=b"x")


@pytest.mark.parametrize("url", sorted(set(INSIDE) - set(THE_SYSTEM_TRANSLATES)))
def test_it_is_refused_when_it_is_written_down(url: str) -> None:
    with pytest.raises(OutboundRefused):
        checked_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook?key=1#part",
        "https://example.org:8443/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://bücher.example/",
    ],
)
def test_an_address_of_the_internet_may_be_written_down(url: str) -> None:
    assert checked_url(url) == url


async def test_a_network_that_is_allowed_is_reached() -> None:
    async with (
        receiving(Reply(body=b"here")) as receiver,
        guarded_client(allow=LOOPBACK, allow_http=True) as client,
    ):
        answer = await client.post(receiver.url(), content=b"x")
        assert (answer.status_code, answer.content) == (200, b"here")
        assert (await client.get(receiver.url("localhost"))).status_code == 200


class Rebinding:
    """A name server that answers with a public address first, and inside from then on."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


async def test_a_name_that_leads_inside_is_refused() -> None:
    async with receiving() as receiver:
        names = Rebinding(["127.0.0.1"])
        async with guarded_client(allow_http=True, resolve=names) as client:
            with pytest.raises(OutboundRefused, match=r"127\.0\.0\.1.*loopback"):
                await client.post(receiver.url("rebind.example"))
        assert receiver.got == []


async def test_a_name_is_looked_up_once_and_the_answer_is_what_is_connected_to() -> None:
    """The second answer leads to the receiver: whoever asks twice arrives there."""
    names = Rebinding(["192.0.2.1"], ["127.0.0.1"])
    async with receiving() as receiver:
        client = guarded_client(
            allow=[ip_network("192.0.2.0/24")],
            allow_http=True,
            resolve=names,
            timeout=timedelta(seconds=0.3),
        )
        async with client:
            with pytest.raises(httpx.TransportError):
                await client.post(receiver.url("rebind.example"))
            assert names.asked == 1
            with pytest.raises(OutboundRefused):
                await client.post(receiver.url("rebind.example"))
        assert receiver.got == []


async def test_one_address_inside_refuses_a_name_with_several() -> None:
    names = Rebinding(["8.8.8.8", "10.0.0.7"])
    async with guarded_client(resolve=names) as client:
        with pytest.raises(OutboundRefused, match=r"10\.0\.0\.7"):
            await client.get("https://both.example/")


async def test_a_redirect_is_answered_and_not_followed() -> None:
    async with receiving(Reply(302, (("Location", "/elsewhere"),))) as receiver:
        async with guarded_client(allow=LOOPBACK, allow_http=True) as client:
            assert (await client.get(receiver.url())).status_code == 302
        assert [each.target for each in receiver.got] == ["/hook"]


async def test_a_redirect_that_a_caller_follows_is_checked_like_any_request() -> None:
    inside = "http://169.254.169.254/latest/meta-data/"
    async with (
        receiving(Reply(302, (("Location", inside),))) as receiver,
        guarded_client(allow=LOOPBACK, allow_http=True) as client,
    ):
        with pytest.raises(OutboundRefused, match="metadata"):
            await client.get(receiver.url(), follow_redirects=True)


async def test_a_body_is_read_up_to_its_limit() -> None:
    async with (
        receiving(Reply(body=b"x" * 1000), Reply(body=b"x" * 1001)) as receiver,
        guarded_client(allow=LOOPBACK, allow_http=True, most_bytes=1000) as client,
    ):
        assert len((await client.get(receiver.url())).content) == 1000
        with pytest.raises(OutboundRefused, match="more than 1,000 bytes"):
            await client.get(receiver.url())


async def test_a_packed_answer_is_refused_because_it_may_unpack_to_anything() -> None:
    packed = Reply(headers=(("Content-Encoding", "gzip"),), body=b"\x1f\x8b")
    async with (
        receiving(packed) as receiver,
        guarded_client(allow=LOOPBACK, allow_http=True) as client,
    ):
        with pytest.raises(OutboundRefused, match="gzip"):
            await client.get(receiver.url())
        assert receiver.got[0].headers["accept-encoding"] == "identity"


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(path=""))
        async with guarded_client(allow=LOOPBACK, allow_http=True) as client:
            await client.get(receiver.url())
        assert (len(proxy.got), len(receiver.got)) == (0, 1)


async def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    async with receiving(Reply(silent=True)) as receiver:
        client = guarded_client(
            allow=LOOPBACK, allow_http=True, timeout=timedelta(milliseconds=100)
        )
        async with client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(receiver.url())


async def test_a_name_that_does_not_exist_is_an_error_of_the_connection() -> None:
    async def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    async with guarded_client(resolve=nobody) as client:
        with pytest.raises(httpx.ConnectError, match="no such name"):
            await client.get("https://nowhere.example/")


async def test_the_certificate_is_that_of_the_name_although_the_address_is_connected_to(
    tmp_path: Path,
) -> None:
    made = certificates(tmp_path)

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with receiving(tls=made.context()) as receiver:
        client = guarded_client(allow=LOOPBACK, verify=made.trusting(), resolve=here)
        async with client:
            answer = await client.get(f"https://localhost:{receiver.port}/")
            assert answer.status_code == 200
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(f"https://other.example:{receiver.port}/")
        assert len(receiver.got) == 1
