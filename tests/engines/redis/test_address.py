"""URLs of servers: what they mean, what is refused, and that no secret is ever shown."""

from pathlib import Path

import pytest

from tidemill.engines.redis.address import Address, Login, Place, Tls, parse
from tidemill.errors import ConfigError, EngineRefused

LOCAL = Place("localhost", 6379)


def test_a_url_without_anything_optional_means_the_usual_port_and_database() -> None:
    address = parse("redis://localhost")
    assert (address.mode, address.places, address.db) == ("single", (LOCAL,), 0)
    assert (address.tls, address.login, address.prefix) == (None, Login(), "tidemill")
    assert (address.durability, address.replicas) == (None, 0)


def test_everything_of_a_url_is_read() -> None:
    address = parse(
        "rediss://me:s%40cret@host:7000/3?prefix=shop&durability=strict&replicas=2"
        "&ca=/a.pem&cert=/c.pem&key=/k.pem"
    )
    assert address.places == (Place("host", 7000),)
    assert (address.login.username, address.login.password()) == ("me", "s@cret")
    assert (address.db, address.prefix) == (3, "shop")
    assert (address.durability, address.replicas) == ("strict", 2)
    assert address.tls == Tls("/a.pem", "/c.pem", "/k.pem")


@pytest.mark.parametrize("way", ["", "+sentinel", "+cluster"])
@pytest.mark.parametrize(("plain", "secure"), [("redis", "rediss"), ("valkey", "valkeys")])
def test_both_names_mean_the_same_with_and_without_tls(way: str, plain: str, secure: str) -> None:
    path = "/service" if way == "+sentinel" else ""
    reference = parse(f"redis{way}://localhost{path}")
    assert _same(parse(f"{plain}{way}://localhost{path}"), reference)
    assert parse(f"{plain}{way}://localhost{path}").tls is None
    assert parse(f"{secure}{way}://localhost{path}").tls == Tls()


def _same(one: Address, other: Address) -> bool:
    return (one.mode, one.places, one.service) == (other.mode, other.places, other.service)


def test_sentinels_have_their_own_usual_port_a_service_and_a_database() -> None:
    address = parse("redis+sentinel://:pw@one,two:5000/main/4")
    assert address.places == (Place("one", 26379), Place("two", 5000))
    assert (address.mode, address.service, address.db) == ("sentinel", "main", 4)
    assert address.login.password() == "pw"
    assert address.sentinel_login == Login()


def test_sentinels_may_have_a_login_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHERS", "their-secret")
    address = parse("redis+sentinel://one/main?sentinel_username=w&sentinel_password_env=WATCHERS")
    assert address.login == Login()
    assert address.sentinel_login.username == "w"
    assert address.sentinel_login.password() == "their-secret"


def test_a_cluster_is_named_by_any_of_its_nodes() -> None:
    address = parse("valkey+cluster://one:7001,two")
    assert (address.mode, address.places) == ("cluster", (Place("one", 7001), Place("two", 6379)))


def test_ipv6_hosts_stand_in_brackets() -> None:
    assert parse("redis://[::1]:7000/1").places == (Place("::1", 7000),)
    assert parse("redis+cluster://[::1],[fe80::1%25eth0]:2").places[0] == Place("::1", 6379)
    assert str(Place("::1", 7000)) == "[::1]:7000"


def test_a_password_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    login = parse(f"redis://localhost?username=me&password_file={secret}").login
    assert (login.username, login.password()) == ("me", "first")
    secret.write_text("second")
    assert login.password() == "second"


def test_a_password_in_the_environment_is_read_anew_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "first")
    login = parse("redis://me@localhost?password_env=SECRET").login
    assert (login.username, login.password()) == ("me", "first")
    monkeypatch.setenv("SECRET", "second")
    assert login.password() == "second"


def test_a_password_that_is_not_where_it_should_be_is_an_error_that_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    with pytest.raises(EngineRefused, match="variable SECRET"):
        parse("redis://localhost?password_env=SECRET").login.password()
    with pytest.raises(EngineRefused, match="no-such-file"):
        parse(f"redis://localhost?password_file={tmp_path}/no-such-file").login.password()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@localhost/1", "redis://:***@localhost/1"),
        ("redis://me:s3cret@localhost", "redis://me:***@localhost"),
        ("redis://me:s3c@ret@localhost", "redis://me:***@localhost"),
        ("redis://localhost/2?replicas=1", "redis://localhost/2?replicas=1"),
        ("redis+cluster://me:s3cret@a,b", "redis+cluster://me:***@a,b"),
        ("redis://localhost?password_file=/run/pw", "redis://localhost?password_file=/run/pw"),
    ],
)
def test_people_see_the_url_without_its_secrets(url: str, shown: str) -> None:
    address = parse(url)
    assert address.location == shown
    assert "s3c" not in repr(address)
    assert "s3c" not in str(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis:localhost", "names no Redis or Valkey server"),
        ("rediss+unix://localhost", "names no Redis or Valkey server"),
        ("redis://", "names no host"),
        ("redis://:6379", "names no host before :6379"),
        ("redis://a,b", "names several servers"),
        ("redis://localhost:0", "has the port 0"),
        ("redis://localhost:65536", "has the port 65536"),
        ("redis://localhost:http", "has the port 'http'"),
        ("redis://::1", "IPv6 host without brackets"),
        ("redis://[::1]x", "has a host that cannot be read"),
        ("redis://localhost/one", "has the database number 'one'"),
        ("redis://localhost/-1", "has the database number '-1'"),
        ("redis+cluster://localhost/1", "asks for database 1"),
        ("redis+sentinel://localhost", "names no service"),
        ("redis+sentinel://localhost/", "names no service"),
        ("redis://localhost?prefix=a{b}", "has the prefix 'a{b}'"),
        ("redis://localhost?prefix=", "has the prefix ''"),
        ("redis://localhost?durability=high", "has durability=high"),
        ("redis://localhost?replicas=all", "has the replicas 'all'"),
        ("redis://localhost?replicas=1&replicas=2", "gives an option twice"),
        ("redis://localhost?colour=red", "does not know the options colour"),
        ("redis://localhost?sentinel_username=me", "does not know the options sentinel_username"),
        ("redis://localhost?ca=/a.pem", "use rediss"),
        ("rediss://localhost?cert=/c.pem", "only one of cert and key"),
        ("redis://me@localhost", "names the user me without a password"),
        ("redis://me:pw@localhost?username=you", "gives the user twice"),
        ("redis://:pw@localhost?password_env=SECRET", "gives the password in two places"),
        ("redis://localhost?password_file=", "has an empty password_file"),
        ("redis+sentinel://localhost/s?sentinel_username=w", "names the user w without a password"),
    ],
)
def test_a_bad_url_is_refused_with_what_is_wrong_and_an_example(url: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(url)
    assert reason in str(error.value)
    assert "://" in str(error.value).removeprefix(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:s3cret@localhost/one",
        "redis://me:1/s3cret@localhost",
        "redis://me:1?s3cret@localhost",
        "redis://me:1?s3cret=@localhost",
        "redis:me:s3cret@localhost",
        "http://me:s3cret@localhost",
    ],
)
def test_a_refused_url_is_shown_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(url)
    assert "s3cret" not in str(error.value)
