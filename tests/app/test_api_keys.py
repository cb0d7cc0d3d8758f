"""API keys, login links and tokens: what is kept, what is good, and for how long."""

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tidemill import ConfigError, NotFound, Rate, Scope, Tenant, Tidemill
from tidemill.access import FULL, Access
from tidemill.app.credentials.keys import KIND
from tidemill.app.credentials.logins import LOGIN, SESSION
from tidemill.app.credentials.secrets import MOST, Known, digest_of
from tidemill.app.credentials.tokens import Tokens
from tidemill.clock import VirtualClock
from tidemill.configuration import Jwt
from tidemill.engine import Put
from tidemill.engines.memory import MemoryEngine

SECRET = "correct horse battery staple, four words"
SOMEBODY = Access(who="key:a", subject="key:1", scopes=FULL)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Tidemill:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'tasks.db'}"
    return Tidemill(url)


async def of(app: Tidemill, text: str) -> Access | None:
    [found] = await app.keys.look_up([digest_of(text.encode())])
    return found


async def test_a_key_proves_what_it_was_made_for(app: Tidemill) -> None:
    tenant, rate = Tenant("ana", "shop"), Rate(100, timedelta(seconds=1), 10)
    made = await app.keys.create("mailer", [Scope.SUBMIT, Scope.PAYLOADS], tenant=tenant, rate=rate)
    assert made.text.startswith(f"tidemill_{made.key.id}_")
    assert len(made.text.rpartition(made.key.id)[2]) == 44
    assert await of(app, made.text) == Access(
        who="key:mailer",
        subject=f"key:{made.key.id}",
        scopes=frozenset({Scope.SUBMIT, Scope.PAYLOADS}),
        tenant=tenant,
        rate=rate,
    )


async def test_nothing_that_is_kept_or_printed_holds_the_key(app: Tidemill) -> None:
    made = await app.keys.create("mailer", FULL)
    secret = made.text.rpartition(f"{made.key.id}_")[2]
    engine = await app.engine()
    [kept] = await engine.documents(KIND)
    assert kept.key == hashlib.sha256(made.text.encode()).hexdigest()
    assert secret.encode() not in kept.body
    assert secret not in repr(made) + str(made) + repr(await app.keys.list())


@pytest.mark.parametrize("change", ["", "x", "tidemill", "unknown id", "last letter", "longer"])
async def test_a_key_that_is_not_exactly_right_proves_nothing(app: Tidemill, change: str) -> None:
    made = await app.keys.create("mailer", FULL)
    other = "A" if made.text[-1] != "A" else "B"
    wrong = {
        "unknown id": made.text.replace(made.key.id, "0" * 10),
        "last letter": made.text[:-1] + other,
        "longer": made.text + "A",
    }.get(change, change)
    assert await of(app, wrong) is None


async def test_a_revoked_key_proves_nothing_and_is_not_listed(app: Tidemill) -> None:
    made = await app.keys.create("mailer", FULL)
    kept = await app.keys.create("other", FULL)
    digest = digest_of(made.text.encode())
    await of(app, made.text)
    assert app.keys.known(digest)
    assert (await app.keys.revoke(made.key.id)).id == made.key.id
    assert app.keys.known(digest) is None
    assert await of(app, made.text) is None
    assert [each.id for each in await app.keys.list()] == [kept.key.id]
    with pytest.raises(NotFound, match=made.key.id):
        await app.keys.revoke(made.key.id)


async def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_kept_as_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Tidemill("memory://")
    made = await app.keys.create("mailer", FULL)
    engine = await app.engine()
    read = engine.get

    async def slow(kind: str, keys: Any) -> Any:
        found = await read(kind, keys)
        await app.keys.revoke(made.key.id)
        return found

    monkeypatch.setattr(engine, "get", slow)
    await of(app, made.text)
    assert app.keys.known(digest_of(made.text.encode())) is None


async def test_a_key_expires_by_the_clock_of_the_engine(clock: VirtualClock) -> None:
    app = Tidemill("memory://")
    app.use_engine(MemoryEngine(clock=clock), clock=clock)
    made = await app.keys.create("mailer", FULL, expires=timedelta(days=30))
    assert made.key.expires_at == made.key.created_at + timedelta(days=30)
    clock.advance(timedelta(days=30) - timedelta(microseconds=1))
    assert await of(app, made.text)
    assert await app.keys.any_valid()
    clock.advance(timedelta(microseconds=1))
    assert await of(app, made.text) is None
    assert not await app.keys.any_valid()


async def test_the_last_use_is_noted_once_a_minute_and_never_brings_a_key_back(
    clock: VirtualClock,
) -> None:
    app = Tidemill("memory://")
    app.use_engine(MemoryEngine(clock=clock), clock=clock)
    made = await app.keys.create("mailer", FULL)
    engine = await app.engine()

    async def used() -> tuple[int, Any]:
        await of(app, made.text)
        await asyncio.gather(*app.keys._writing)
        [kept] = await engine.documents(KIND)
        [key] = await app.keys.list()
        return kept.version, key.last_used_at

    first = await used()
    assert first == (2, made.key.created_at)
    clock.advance(timedelta(seconds=59))
    assert await used() == first
    clock.advance(timedelta(seconds=1))
    assert await used() == (3, made.key.created_at + timedelta(minutes=1))
    clock.advance(timedelta(minutes=1))
    await of(app, made.text)
    await app.keys.revoke(made.key.id)  # before the use is written
    await asyncio.gather(*app.keys._writing)
    assert await engine.documents(KIND) == []


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"name": "two words"}, "cannot name a key"),
        ({"scopes": []}, "needs a scope: view, submit"),
        ({"expires": timedelta(0)}, "would have expired already"),
        ({"expires": timedelta(days=3_000_000)}, "too far away"),
    ],
)
async def test_a_key_that_could_be_of_no_use_is_refused(said: dict[str, Any], what: str) -> None:
    app = Tidemill("memory://")
    with pytest.raises(ConfigError, match=what):
        await app.keys.create(**({"name": "a", "scopes": FULL} | said))


async def test_what_this_version_cannot_read_opens_nothing(app: Tidemill) -> None:
    made = await app.keys.create("mailer", FULL)
    engine = await app.engine()
    await engine.put([Put(KIND, digest_of(made.text.encode()), b'{"v": 2}')])
    assert await of(app, made.text) is None
    assert await app.keys.list() == []


def test_a_good_secret_is_known_for_a_second_and_a_flood_of_them_has_an_end() -> None:
    now = [0.0]
    known = Known(lambda: now[0])
    known.note("a", SOMEBODY, known.changes)
    now[0] = 1.0
    assert known.access("a") == SOMEBODY
    now[0] = 1.001
    assert known.access("a") is None
    for number in range(2 * MOST):
        known.note(str(number), SOMEBODY, known.changes)
    assert len(known._by_digest) <= MOST


# logins


async def test_a_link_begins_one_session_whoever_uses_it_at_the_same_time(app: Tidemill) -> None:
    secret = await app.logins.create("login:ana")
    begun = await asyncio.gather(*(app.logins.redeem(secret) for _ in range(20)))
    [session] = [each for each in begun if each]
    assert await app.logins.redeem(secret) is None
    [access] = await app.logins.look_up([digest_of(session.encode())])
    assert access is not None
    assert (access.who, access.scopes) == ("login:ana", FULL)
    engine = await app.engine()
    kept = [*await engine.documents(LOGIN), *await engine.documents(SESSION)]
    assert [each.kind for each in kept] == [SESSION]
    assert session.encode() not in kept[0].body + kept[0].key.encode()


async def test_a_session_that_was_ended_proves_nothing(app: Tidemill) -> None:
    session = await app.logins.redeem(await app.logins.create())
    assert session
    digest = digest_of(session.encode())
    await app.logins.look_up([digest])
    await app.logins.end(session)
    assert app.logins.known(digest) is None
    assert await app.logins.look_up([digest]) == [None]


async def test_links_and_sessions_run_out_and_are_removed(clock: VirtualClock) -> None:
    app = Tidemill("memory://")
    app.use_engine(MemoryEngine(clock=clock), clock=clock)
    late, used = await app.logins.create(), await app.logins.create()
    session = await app.logins.redeem(used)
    assert session
    clock.advance(timedelta(minutes=15))
    assert await app.logins.redeem(late) is None
    clock.advance(timedelta(hours=11, minutes=45))
    assert await app.logins.look_up([digest_of(session.encode())]) == [None]
    await app.logins.create()
    engine = await app.engine()
    assert [len(await engine.documents(each)) for each in (LOGIN, SESSION)] == [1, 0]


async def test_a_key_is_no_session_and_a_link_is_neither(app: Tidemill) -> None:
    key = digest_of((await app.keys.create("a", FULL)).text.encode())
    link = digest_of((await app.logins.create()).encode())
    assert await app.logins.look_up([key, link]) == [None, None]
    assert await app.keys.look_up([link]) == [None]


# tokens


def signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


def raw(header: dict[str, Any], claims: dict[str, Any], secret: bytes = SECRET.encode()) -> str:
    """A token with any header, signed by HMAC-SHA256 without asking a library whether it may."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = f"{part(msgspec.json.encode(header))}.{part(msgspec.json.encode(claims))}"
    return f"{head}.{part(hmac.new(secret, head.encode(), 'sha256').digest())}"


LATER = 4_000_000_000
GOOD = {"sub": "ana", "exp": LATER, "scope": "view payloads other:scope"}


def test_a_token_proves_what_its_claims_say() -> None:
    read = Tokens(Jwt(secret=SECRET)).read
    assert read(raw({"alg": "HS256", "typ": "JWT"}, GOOD)) == Access(
        who="user:ana", subject="user:ana", scopes=frozenset({Scope.VIEW, Scope.PAYLOADS})
    )
    bound = read(signed(GOOD | {"user_id": "ana", "project_id": "shop"}))
    assert bound is not None
    assert bound.tenant == Tenant("ana", "shop")
    nothing = read(signed({"sub": "ana", "exp": LATER}))
    assert nothing is not None
    assert nothing.scopes == frozenset()


def test_a_token_that_was_made_here_is_good_here() -> None:
    tokens = Tokens(Jwt(secret=SECRET, audience="tasks", issuer="us"))
    made = tokens.make("ana", {Scope.VIEW}, tenant=Tenant("ana"))
    found = tokens.read(made)
    assert found is not None
    assert (found.who, found.tenant, found.scopes) == (
        "user:ana",
        Tenant("ana"),
        frozenset({Scope.VIEW}),
    )
    assert tokens.read(tokens.make("ana", {Scope.VIEW}, good_for=timedelta(seconds=-20))) is None


def _public_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


REFUSED = {
    "no algorithm": jwt.encode(GOOD, "", algorithm="none"),
    "none in other letters": raw({"alg": "nOnE"}, GOOD),
    "another secret": signed(GOOD, "x" * 32),
    "another hash": signed(GOOD, SECRET * 2, "HS512"),
    "HMAC named as RSA": raw({"alg": "RS256"}, GOOD),
    "HMAC with a public key": raw({"alg": "HS256"}, GOOD, _public_key()),
    "no end": signed({"sub": "ana", "scope": "view"}),
    "no subject": signed({"exp": LATER, "scope": "view"}),
    "empty subject": signed(GOOD | {"sub": ""}),
    "over": signed(GOOD | {"exp": 1_000_000_000}),
    "not begun": signed(GOOD | {"nbf": LATER - 1}),
    "an end that is no number": signed(GOOD | {"exp": "soon"}),
    "an audience that nobody named": signed(GOOD | {"aud": "billing"}),
    "a tenant of null": signed(GOOD | {"user_id": None}),
    "a tenant that is no text": signed(GOOD | {"project_id": 7}),
    "scopes that are a list": signed(GOOD | {"scope": ["view"]}),
    "unsigned": signed(GOOD).rpartition(".")[0] + ".",
    "deeply nested": base64.urlsafe_b64encode(b"[" * 3000).decode().rstrip("=") + ".e30.x",
    "no JSON": "a.b.c",
    "not ASCII": "\u00e9.\u00e9.\u00e9",
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
def test_a_token_that_is_wrong_in_any_way_proves_nothing(token: str) -> None:
    assert Tokens(Jwt(secret=SECRET)).read(token) is None


def test_a_token_must_be_for_us_and_from_whom_we_expect() -> None:
    read = Tokens(Jwt(secret=SECRET, audience="tasks", issuer="us")).read
    right = GOOD | {"aud": "tasks", "iss": "us"}
    assert read(signed(right))
    for claim in ("aud", "iss"):
        assert read(signed(right | {claim: "them"})) is None
        assert read(signed({name: value for name, value in right.items() if name != claim})) is None


@pytest.mark.parametrize("secret", [None, "your-jwt-secret", "x" * 31])
def test_a_secret_that_can_be_guessed_is_refused_without_being_shown(secret: str | None) -> None:
    with pytest.raises(ConfigError, match=r"server\.jwt\.secret") as told:
        Tokens(Jwt(secret=secret))
    assert "openssl rand -hex 32" in str(told.value)
    assert secret is None or secret not in str(told.value)
