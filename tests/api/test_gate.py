"""The gate: who gets in, with what, how often, and what every answer carries."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from statistics import median
from time import perf_counter_ns
from typing import Any

import httpx
import pytest

from tests.api.conftest import OpenSite, application, key_header, problem, serve
from tidemill import ConfigError, Rate, Scope, Tidemill
from tidemill.access import FULL, Access
from tidemill.api import create_api, trusted
from tidemill.api.gate.asking import LONGEST_CREDENTIAL, Asked
from tidemill.api.gate.pace import MOST, Pace
from tidemill.api.server import listen
from tidemill.app.credentials.tokens import Tokens
from tidemill.configuration import Jwt

SECRET = "correct horse battery staple, four words"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
STRICT = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@asynccontextmanager
async def behind(app: Tidemill, *args: Any, **said: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an interface in this process, without a key."""
    transport = httpx.ASGITransport(create_api(app, *args, **said))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client
    await app.close()


def wrong_keys(right: str) -> dict[str, dict[str, str]]:
    """Credentials that are not right, from nearly so to not at all."""
    key_id = right.split("_")[1]
    secret = right.rpartition(f"{key_id}_")[2]
    texts = {
        "last letter": right[:-1] + ("A" if right[-1] != "A" else "B"),
        "first letter of the secret": right.replace(f"_{secret}", f"_{secret[1:]}x"),
        "right id": f"tidemill_{key_id}_{'A' * 43}",
        "unknown id": f"tidemill_{'0' * 10}_{secret}",
        "without the prefix": secret,
        "one letter": "x",
        "like a token": "a.b.c",
        "long": "x" * LONGEST_CREDENTIAL,
        "too long": right + "x" * LONGEST_CREDENTIAL,
    }
    return {
        **{name: {"Authorization": f"Bearer {text}"} for name, text in texts.items()},
        "in its own header": {"X-API-Key": texts["last letter"]},
        "empty": {"Authorization": "Bearer "},
        "another scheme": {"Authorization": f"Basic {right}"},
        "no scheme": {"Authorization": right},
    }


async def test_without_credentials_every_address_is_answered_the_same_way(site: OpenSite) -> None:
    async with site() as here, httpx.AsyncClient(base_url=here.url) as nobody:
        task = await here.submit("echo")
        answers = [
            await nobody.request(method, path)
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
            for path in (
                "/",
                "/nothing",
                "/api/v1/tasks",
                f"/api/v1/tasks/{task['task_id']}",
                "/api/v1/tasks/019a0000-0000-7000-8000-000000000000",
                "/api/v1/openapi.json",
                "/api/v1/queues/%00",
                "/healthz/",
            )
        ]
        assert {(each.status_code, each.text) for each in answers} == {(401, answers[0].text)}
        assert problem(answers[0]).type == "unauthenticated"
        told = {each.headers["www-authenticate"] for each in answers}
        assert told == {'Bearer realm="tidemill"'}
        for path in ("/healthz", "/readyz"):
            assert (await nobody.get(path)).status_code == 200


async def test_a_key_is_taken_in_either_header(site: OpenSite) -> None:
    async with site() as here, httpx.AsyncClient(base_url=here.url) as client:
        key = (await here.app.keys.create("mailer", [Scope.VIEW])).text
        for headers in (
            {"Authorization": f"Bearer {key}"},
            {"authorization": f"bearer  {key}"},
            {"X-API-Key": key},
        ):
            me = await client.get("/api/v1/me", headers=headers)
            assert me.json()["who"] == "key:mailer", headers
        both = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")]
        assert (await client.get("/api/v1/me", headers=both)).status_code == 401


async def test_wrong_keys_are_refused_alike_by_the_same_calls_of_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = application("memory://")
    right = (await app.keys.create("mailer", FULL)).text
    engine = await app.engine()
    calls: list[str] = []

    def counted(name: str, verb: Any) -> Any:
        def call(*args: Any) -> Any:
            calls.append(name)
            return verb(*args)

        return call

    for name in ("get", "marks", "put", "documents"):
        monkeypatch.setattr(engine, name, counted(name, getattr(engine, name)))
    told = set()
    async with behind(app) as client:
        for name, headers in wrong_keys(right).items():
            for _ in range(2):  # nothing is kept of a wrong one
                calls.clear()
                answer = await client.get("/api/v1/me", headers=headers)
                assert answer.status_code == 401, name
                told.add(answer.text)
                assert calls == ["get", "marks"], name
    assert len(told) == 1


async def test_how_long_a_wrong_key_takes_does_not_tell_how_wrong_it_is() -> None:
    """Medians of turns; twice as long would be told, and a comparison letter by letter is not."""
    app = application("memory://")
    right = (await app.keys.create("mailer", FULL)).text
    wrong = wrong_keys(right)
    names = ["last letter", "right id", "unknown id", "one letter"]
    took: dict[str, list[int]] = {name: [] for name in names}
    async with behind(app) as client:
        requests = {
            name: client.build_request("GET", "/api/v1/me", headers=wrong[name]) for name in names
        }
        for _ in range(150):
            for name in names:
                begun = perf_counter_ns()
                await client.send(requests[name])
                took[name].append(perf_counter_ns() - begun)
    medians = [median(each) for each in took.values()]
    assert max(medians) < 1.5 * min(medians), took.keys()


async def test_a_revoked_key_is_refused_at_once_here_and_within_a_second_elsewhere(
    tmp_path: Any,
) -> None:
    url = f"sqlite:///{tmp_path / 'tasks.db'}"
    async with serve(application(url)) as here, serve(application(url)) as there:
        made = await here.app.keys.create("mailer", FULL)
        headers = {"Authorization": f"Bearer {made.text}"}
        for each in (here, there):
            assert (await each.client.get("/api/v1/me", headers=headers)).status_code == 200
        await here.ask("DELETE", f"/keys/{made.key.id}", 204)
        assert (await here.client.get("/api/v1/me", headers=headers)).status_code == 401
        begun = asyncio.get_running_loop().time()
        while (await there.client.get("/api/v1/me", headers=headers)).status_code == 200:
            assert asyncio.get_running_loop().time() - begun < 1.5
        assert (await there.client.get("/api/v1/me", headers=headers)).status_code == 401


async def test_tokens_are_taken_where_there_is_a_secret_for_them() -> None:
    told = Jwt(secret=SECRET)
    token = Tokens(told).make("ana", {Scope.VIEW, Scope.SUBMIT})
    headers = {"Authorization": f"Bearer {token}"}
    async with behind(application("memory://"), jwt=told) as client:
        me = (await client.get("/api/v1/me", headers=headers)).json()
        assert (me["who"], me["scopes"]) == ("user:ana", ["view", "submit"])
        broken = {"Authorization": f"Bearer {token[:-2]}"}
        assert (await client.get("/api/v1/me", headers=broken)).status_code == 401
    async with behind(application("memory://")) as client:
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 401


def test_a_secret_that_is_too_short_does_not_start() -> None:
    with pytest.raises(ConfigError, match="it needs 32 or more"):
        create_api(Tidemill("memory://"), jwt=Jwt(secret="your-jwt-secret"))


async def test_an_engine_that_is_away_is_told_as_such() -> None:
    async with behind(application("redis://127.0.0.1:1/0")) as client:
        answer = await client.get("/api/v1/me", headers={"X-API-Key": "x"})
        assert (answer.status_code, problem(answer).type) == (503, "engine-unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/api/v1/me")).status_code == 401
        assert (await client.get("/healthz")).status_code == 200


async def test_every_answer_carries_the_strict_headers(site: OpenSite) -> None:
    async with site() as here:
        for method, path, status in (
            ("GET", "/api/v1/tasks", 200),
            ("GET", "/api/v1/nothing", 404),
            ("GET", "/healthz", 200),
            ("GET", "/", 200),
            ("PUT", "/api/v1/tasks", 405),
        ):
            answer = await here.client.request(method, path)
            assert answer.status_code == status
            assert STRICT.items() <= answer.headers.items() or path == "/"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert not [name for name in answer.headers if name.startswith("access-control")]
        refused = await here.client.get("/api/v1/me", headers={"Authorization": "x"})
        assert refused.status_code == 401
        assert STRICT.items() <= refused.headers.items()


# rates


async def test_a_key_with_a_rate_is_told_what_is_left_and_when_to_come_again(
    site: OpenSite,
) -> None:
    async with site() as here:
        rate = Rate(6, timedelta(hours=1), 2)
        slow = await key_header(here.app, Scope.VIEW, name="slow", rate=rate)
        left = []
        for _ in range(2):
            answer = await here.client.get("/api/v1/me", headers=slow)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"key";q=6;w=3600'
            left.append(answer.headers["ratelimit"].partition(";t=")[0])
        assert left == ['"key";r=1', '"key";r=0']
        refused = await here.client.get("/api/v1/me", headers=slow)
        assert (refused.status_code, problem(refused).type) == (429, "rate-limited")
        assert 590 <= int(refused.headers["retry-after"]) <= 600
        assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
        assert "ratelimit" not in (await here.client.get("/api/v1/me")).headers


def test_the_pace_of_a_caller_is_that_of_their_key() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    rate = Rate(10, timedelta(seconds=1), 1)

    def asks(subject: str) -> timedelta:
        access = Access(who=subject, subject=subject, scopes=FULL, rate=rate)
        return pace.count(access)[1]

    assert asks("a") == asks("b") == timedelta()
    assert asks("a") == timedelta(milliseconds=100)
    now[0] += 0.1
    assert asks("a") == timedelta()
    for number in range(2 * MOST):
        now[0] += 0.1
        asks(str(number))
    assert len(pace._buckets) <= MOST


# where a request comes from


def asked(method: str, headers: Mapping[str, str], **scope: Any) -> Asked:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    told = {"type": "http", "method": method, "path": "/", "headers": encoded, **scope}
    return Asked.of(told)


COOKIE = {"cookie": "tidemill=x", "host": "mill:8080"}


@pytest.mark.parametrize(
    ("headers", "forged"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://mill:8080"}, True),
        ({"origin": "http://mill:8080"}, False),
        ({"origin": "https://MILL:8080"}, False),
        ({"origin": "http://mill:8081"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "http://evil.example/mill:8080"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
    ],
)
def test_a_change_with_a_cookie_must_come_from_here(headers: dict[str, str], forged: bool) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "X"):
        assert asked(method, COOKIE | headers).forged is forged
        assert not asked(method, COOKIE | headers | {"authorization": "Bearer x"}).forged
    for method in ("GET", "HEAD", "OPTIONS"):
        assert not asked(method, COOKIE | headers).forged


def test_without_a_cookie_it_is_forged_only_if_the_browser_says_so() -> None:
    assert not asked("POST", {"host": "mill"}).forged
    assert asked("POST", {"host": "mill", "sec-fetch-site": "cross-site"}).forged
    assert asked("POST", {"host": "mill", "origin": "http://evil.example"}).forged


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "[::1]:80", "LOCALHOST:1"])
async def test_the_names_of_the_loopback_are_known(host: str) -> None:
    async with behind(application("memory://"), trusted, hosts=LOOPBACK) as client:
        answer = await client.get("/api/v1/me", headers={"Host": host})
        assert answer.status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a@b:x"])
async def test_a_name_that_leads_here_from_elsewhere_is_refused(host: str) -> None:
    async with behind(application("memory://"), trusted, hosts=LOOPBACK) as client:
        for path in ("/api/v1/me", "/healthz", "/login"):
            answer = await client.get(path, headers={"Host": host})
            assert (answer.status_code, problem(answer).type) == (421, "wrong-host")


# embedding


async def test_an_application_says_itself_who_asks() -> None:
    async def authenticate(scope: Mapping[str, Any]) -> Access | None:
        user = dict(scope["headers"]).get(b"x-user")
        if user is None:
            return None
        return Access(who=f"user:{user.decode()}", subject="u", scopes=frozenset({Scope.VIEW}))

    app = application("memory://")
    key = await key_header(app)
    async with behind(app, authenticate) as client:
        me = await client.get("/api/v1/me", headers={"X-User": "ana"})
        assert me.json()["who"] == "user:ana"
        for headers in ({}, key):  # its own keys open nothing then
            assert (await client.get("/api/v1/me", headers=headers)).status_code == 401
        for path in ("/login", "/"):
            assert (await client.get(path)).status_code == 401


async def test_what_a_caller_sends_cannot_pass_for_what_the_gate_found() -> None:
    """The scope of an outer application may hold anything, also of an earlier request."""
    api = create_api(application("memory://"))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/healthz",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "tidemill.access": Access(who="evil", subject="x", scopes=FULL),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None: ...

    await api(scope, receive, send)
    assert "tidemill.access" not in scope


async def test_a_websocket_is_closed() -> None:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any: ...

    await create_api(Tidemill("memory://"))({"type": "websocket"}, receive, send)
    assert told == [{"type": "websocket.close", "code": 1008}]


def test_authenticate_and_tokens_of_ours_are_not_both() -> None:
    with pytest.raises(ConfigError, match="authenticate decides alone"):
        create_api(Tidemill("memory://"), trusted, jwt=Jwt(secret=SECRET))


# keys over HTTP


async def test_keys_are_made_listed_and_revoked_over_http(site: OpenSite) -> None:
    async with site() as here:
        body = {"name": "mailer", "scopes": ["view"], "user_id": "ana", "rate": "5/s"}
        made = await here.ask("POST", "/keys", 201, body | {"expires": 60})
        assert made["record"]["rate"] == "5/s"
        listed = await here.ask("GET", "/keys", 200)
        assert [each["name"] for each in listed["keys"]] == ["tests", "mailer"]
        assert made["key"] not in str(listed)
        headers = {"Authorization": f"Bearer {made['key']}"}
        me = await here.ask("GET", "/me", 200, headers=headers)
        assert me == {
            "who": "key:mailer",
            "scopes": ["view"],
            "user_id": "ana",
            "project_id": None,
            "rate": "5/s",
        }
        await here.ask("DELETE", f"/keys/{made['record']['id']}", 204)
        await here.ask("GET", "/me", 401, headers=headers)
        await here.ask("DELETE", f"/keys/{made['record']['id']}", 404)


async def test_nobody_gives_a_scope_that_they_do_not_have(site: OpenSite) -> None:
    async with site() as here:
        headers = await key_header(here.app, Scope.ADMIN)
        body = {"name": "x", "scopes": ["view", "payloads"]}
        answer = await here.client.post("/api/v1/keys", json=body, headers=headers)
        assert (answer.status_code, problem(answer).type) == (403, "forbidden")
        assert "'payloads'" in answer.json()["detail"]


async def test_no_key_lands_in_a_log(site: OpenSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with site() as here:
        made = await here.app.keys.create("mailer", FULL)
        link = await here.app.logins.create()
        headers = {"Authorization": f"Bearer {made.text}"}
        for path in ("/api/v1/me", f"/login?token={link}", "/api/v1/nothing"):
            await here.client.get(path, headers=headers)
        await here.client.post("/login", data={"token": link})
        told = "\n".join(each.getMessage() for each in caplog.records if each.name != "httpx")
        assert made.text not in told
        assert link not in told


def test_another_host_is_listened_on_only_with_credentials() -> None:
    with pytest.raises(ConfigError, match="tidemill key create"):
        listen("0.0.0.0", 0)
    listen("0.0.0.0", 0, guarded=True).close()
