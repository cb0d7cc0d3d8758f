"""`tidemill key` and `tidemill login`."""

import re

import httpx
import msgspec
import pytest

from tests.cli.conftest import APP, Shop
from tests.cli.test_api import started
from tidemill import Scope
from tidemill.app.credentials.tokens import Tokens
from tidemill.configuration import Jwt

SECRET = "correct horse battery staple, four words"
LINK = re.compile(r"http://\S+/login\?token=(?P<token>\S{43})")


def test_a_key_is_made_used_listed_and_revoked(shop: Shop) -> None:
    words = ["--scope", "view", "--scope", "submit", "--user", "ana", "--project", "shop"]
    made = shop.call(
        "key", "create", "mailer", *words, "--expires", "30d", "--rate", "100/s", "-o", "json"
    )
    assert made.code == 0, made.err
    key = made.json["key"]
    assert made.json["scopes"] == ["view", "submit"]
    process, url = started(shop, "-A", APP, "--engine", shop.url)
    me = httpx.get(f"{url}/api/v1/me", headers={"X-API-Key": key})
    assert me.json() == {
        "who": "key:mailer",
        "scopes": ["view", "submit"],
        "user_id": "ana",
        "project_id": "shop",
        "rate": "100/s",
    }
    listed = shop.call("key", "ls")
    assert "mailer" in listed.out
    assert "100/s" in listed.out
    assert key not in listed.out
    [record] = shop.call("key", "ls", "-o", "json").json["keys"]
    assert record["last_used_at"]
    revoked = shop.call("key", "revoke", record["id"])
    assert (revoked.code, "within a second" in revoked.err) == (0, True)
    while httpx.get(f"{url}/api/v1/me", headers={"X-API-Key": key}).status_code == 200:
        pass
    assert shop.call("key", "ls", "-o", "json").json["keys"] == []
    assert shop.call("key", "revoke", record["id"]).code == 3
    said = shop.stop(process)
    assert said.code == 0
    assert key not in said.out + said.err


def test_the_table_shows_the_key_once_and_says_so(shop: Shop) -> None:
    made = shop.call("key", "create", "mailer", "--scope", "admin")
    assert re.search(r"tidemill_[0-9a-f]{10}_\S{43}$", made.out, re.MULTILINE)
    assert "not shown again" in made.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["create", "mailer"], "say what it may do: --scope view, submit"),
        (["create", "mailer", "--scope", "everything"], "everything"),
        (["create", "two words", "--scope", "view"], "cannot name a key"),
        (["create", "mailer", "--scope", "view", "--expires", "soon"], "soon"),
        (["create", "mailer", "--scope", "view", "--rate", "fast"], "is not a rate"),
        (["token", "--sub", "ana", "--scope", "view"], "server.jwt.secret"),
    ],
)
def test_what_cannot_be_a_key_is_told(shop: Shop, words: list[str], what: str) -> None:
    said = shop.call("key", *words)
    assert said.code == 2
    assert what in said.err


def test_a_token_is_signed_with_the_secret_of_the_configuration(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_SERVER__JWT__SECRET", SECRET)
    made = shop.call("key", "token", "--sub", "ana", "--scope", "view", "-o", "json").json["token"]
    access = Tokens(Jwt(secret=SECRET)).read(made)
    assert access is not None
    assert (access.who, access.scopes) == ("user:ana", frozenset({Scope.VIEW}))
    process, url = started(shop, "-A", APP)
    headers = {"Authorization": f"Bearer {made}"}
    assert httpx.get(f"{url}/api/v1/me", headers=headers).status_code == 200
    assert shop.stop(process).code == 0


def test_a_secret_that_is_too_short_does_not_start(shop: Shop) -> None:
    env = {"TIDEMILL_SERVER__JWT__SECRET": "your-jwt-secret"}
    said = shop.program("api", "-A", APP, "--port", "0", env=env)
    assert said.code == 2
    assert "it needs 32 or more" in said.err
    assert "your-jwt-secret" not in said.err


def test_the_link_that_it_prints_signs_a_browser_in(shop: Shop) -> None:
    process = shop.start("api", "-A", APP, "--port", "0", until=None)
    found = LINK.search(shop.hear(process, "/login?token="))
    assert found
    _signs_in(found[0])
    assert found["token"] not in shop.stop(process).err


def test_another_link_is_made_for_a_server_that_runs(shop: Shop) -> None:
    process, url = started(shop, "-A", APP, "--engine", shop.url)
    made = shop.call("login", "--url", f"{url}/", "-o", "json")
    assert made.json["url"].startswith(f"{url}/login?token=")
    _signs_in(made.json["url"])
    assert shop.stop(process).code == 0


def _signs_in(link: str) -> None:
    at, _, token = link.partition("?token=")
    with httpx.Client() as client:
        assert client.get(link).status_code == 200
        done = client.post(at, data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
        assert done.status_code == 303
        assert "signed in" in client.get(at.removesuffix("login")).text


def test_what_reads_lines_of_json_is_told_no_link(shop: Shop) -> None:
    process = shop.start("api", "-A", APP, "--port", "0", "-o", "jsonl", until=None)
    told = shop.hear(process, "EngineOpened")
    assert all(isinstance(msgspec.json.decode(line), dict) for line in told.splitlines())
    assert "token" not in told + shop.stop(process).err


def test_a_link_for_an_engine_in_another_process_is_refused(shop: Shop) -> None:
    said = shop.program("login", "--engine", "memory://")
    assert said.code == 2
    assert "in the process that serves" in said.err


def test_it_listens_elsewhere_once_somebody_has_a_key(shop: Shop) -> None:
    key = shop.call("key", "create", "mailer", "--scope", "view", "-o", "json").json["key"]
    process = shop.start(
        *("api", "-A", APP, "--engine", shop.url, "--host", "0.0.0.0", "--port", "0"), until=None
    )
    told = shop.hear(process, "without TLS")
    found = re.search(r"interface is at (http://\S+)/api/v1", told)
    assert found
    assert "/login" not in told
    assert httpx.get(f"{found[1]}/api/v1/me").status_code == 401
    headers = {"X-API-Key": key, "Host": "mill.example"}
    assert httpx.get(f"{found[1]}/api/v1/me", headers=headers).status_code == 200
    assert shop.stop(process).code == 0


def test_names_that_it_may_be_asked_for_are_configured(shop: Shop) -> None:
    (shop.folder / "tidemill.yaml").write_text(
        "server: {port: 0, allowed_hosts: [Tasks.example.org]}\n", "utf-8"
    )
    process, url = started(shop, "-A", APP)
    for host, status in (("tasks.example.org", 200), ("evil.example", 421)):
        assert httpx.get(f"{url}/healthz", headers={"Host": host}).status_code == status
    assert shop.stop(process).code == 0
