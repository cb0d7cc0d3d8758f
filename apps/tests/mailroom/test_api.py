"""The HTTP API as it is served: who gets in, and what each route answers to whom."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import httpx
from sqlalchemy import insert, select

from apps.tests.mailroom.conftest import Opens
from apps.tests.mailroom.test_importing import mail
from tidemill.api.server import listen, serving, url_of
from tidemill.engines import open_engine
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import (
    NewAccount,
    add_account,
    new_token,
    set_state,
    user_named,
)
from tidemill_apps.mailroom.api import DESCRIPTION, create_api
from tidemill_apps.mailroom.contexts import NewContext, add_context
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.store import MailStore, Origin, Raw
from tidemill_apps.mailroom.tasks import app
from tidemill_apps.services.database import utc_now

PASSWORD: Final = "canary-pass"


@dataclass(frozen=True)
class Someone:
    """A user with a token, three mails, a context and an account."""

    id: str
    token: str
    mail_id: str
    context_id: str
    account_id: str


@dataclass(frozen=True)
class Served:
    """The API on a port, and two users of it."""

    http: httpx.AsyncClient
    mailroom: Mailroom
    ann: Someone
    bob: Someone

    async def ask(
        self, method: str, path: str, token: str | None = None, **said: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.ann.token if token is None else token}"}
        return await self.http.request(method, path, headers=headers, **said)


@asynccontextmanager
async def served(opens: Opens) -> AsyncIterator[Served]:
    app.use_engine(open_engine("memory://"))
    try:
        async with opens(app) as mailroom:
            ann, bob = await someone(mailroom, "ann"), await someone(mailroom, "bob")
            with listen("127.0.0.1", 0) as listening:
                async with (
                    serving(create_api(app, mailroom), listening),
                    httpx.AsyncClient(base_url=url_of(listening)) as http,
                ):
                    yield Served(http, mailroom, ann, bob)
    finally:
        await app.close()
        app.use_engine(None)


async def someone(mailroom: Mailroom, name: str) -> Someone:
    account = NewAccount("mail.example.org", name, PASSWORD)
    async with mailroom.database.writing() as session:
        user_id = await user_named(session, name)
        token = await new_token(session, user_id)
        context = await add_context(session, user_id, NewContext("Mill", ("tide",)))
        kept = await add_account(session, mailroom.keyring, user_id, account)
    store = MailStore(mailroom.database, mailroom.outbox, mailroom.files, ())
    await store.store(Origin(user_id, kept.id, "INBOX"), [Raw(mail(n)) for n in range(3)])
    async with mailroom.database.reading() as session:
        mails = tables.mails.c
        found = select(mails.id).where(mails.user_id == user_id).order_by(mails.subject).limit(1)
        mail_id = str((await session.execute(found)).scalar_one())
    mailroom.index.put(user_id, mail_id, "Mail 0", f"The tide of {name} is coming.", utc_now())
    return Someone(user_id, token, mail_id, context.id, kept.id)


class Route(NamedTuple):
    """A route; `{mail}`, `{context}`, `{account}` are a user's. `owned`: another user gets 404."""

    method: str
    path: str
    status: int
    body: Any = None
    owned: bool = False


NEW_ACCOUNT: Final = {"host": "mail.example.org", "username": "ann2", "password": PASSWORD}
ROUTES: Final = (
    Route("GET", "/mails", 200),
    Route("GET", "/mails/{mail}", 200, owned=True),
    Route("POST", "/mails/{mail}/analyze", 202, owned=True),
    Route("PUT", "/mails/{mail}/label", 200, {"label": "spam"}, owned=True),
    Route("GET", "/search?q=tide", 200),
    Route("GET", "/contacts", 200),
    Route("GET", "/contexts", 200),
    Route("POST", "/contexts", 201, {"name": "Wheel", "keywords": ["wheel"]}),
    Route("DELETE", "/contexts/{context}", 204, owned=True),
    Route("GET", "/accounts", 200),
    Route("POST", "/accounts", 201, NEW_ACCOUNT),
    Route("POST", "/accounts/{account}/sync", 202, owned=True),
    Route("GET", "/statistics", 200),
)


REFUSED: Final[tuple[tuple[str, str, dict[str, Any], int, str], ...]] = (
    ("GET", "/nothing", {}, 404, "route-not-found"),
    ("PATCH", "/mails", {}, 405, "method-not-allowed"),
    ("GET", "/mails?limit=0", {}, 422, "request-invalid"),
    ("GET", "/mails?category=x", {}, 422, "request-invalid"),
    ("GET", "/mails?since=2024-01-01T00:00:00", {}, 422, "config-invalid"),
    ("GET", "/mails?cursor=x", {}, 422, "config-invalid"),
    ("GET", "/mails?contact=%00", {}, 422, "config-invalid"),
    ("GET", "/mails/nonsense", {}, 404, "not-found"),
    ("GET", "/search", {}, 422, "request-invalid"),
    ("PUT", f"/mails/{uuid.uuid4()}/label", {"json": {"label": "ham"}}, 404, "not-found"),
    ("POST", "/contexts", {"json": {"name": "x"}}, 422, "config-invalid"),
    ("POST", "/contexts", {"json": {"name": "x", "more": 1}}, 422, "request-invalid"),
    ("POST", "/contexts", {"content": b"{"}, 400, "bad-request"),
    ("POST", "/accounts", {"json": {"host": "x"}}, 422, "request-invalid"),
    ("POST", "/contexts", {"json": {"name": "x" * 70_000}}, 413, "body-too-large"),
)
"""A request, and the problem that it is answered with."""


def path_of(route: Route, owner: Someone) -> str:
    return route.path.format(mail=owner.mail_id, context=owner.context_id, account=owner.account_id)


def assert_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (answer.status_code, told["status"], told["type"]) == (status, status, slug)
    assert told["title"]
    assert told["detail"]


async def test_every_route_is_for_the_one_who_owns_it(opens: Opens) -> None:
    async with served(opens) as api:
        described = (await api.http.get(DESCRIPTION)).json()["paths"]
        told = sorted((method.upper(), path) for path, each in described.items() for method in each)
        assert len(told) == len(ROUTES)
        for route in ROUTES:
            mine, theirs = path_of(route, api.ann), path_of(route, api.bob)
            bare = await api.http.request(route.method, mine, json=route.body)
            assert_problem(bare, 401, "unauthenticated")
            assert bare.headers["www-authenticate"].startswith("Bearer")
            wrong = await api.ask(route.method, mine, "tmr_wrong", json=route.body)
            assert_problem(wrong, 401, "unauthenticated")
            if route.owned:
                other = await api.ask(route.method, theirs, json=route.body)
                assert_problem(other, 404, "not-found")
            right = await api.ask(route.method, mine, json=route.body)
            assert right.status_code == route.status, (route, right.text)
            assert PASSWORD not in right.text
            assert api.bob.id not in right.text
            assert api.bob.mail_id not in right.text


async def test_mails_come_in_pages_and_one_with_all_that_is_known(opens: Opens) -> None:
    async with served(opens) as api:
        first = (await api.ask("GET", "/mails?limit=2")).json()
        cursor = first["cursor"]
        second = (await api.ask("GET", f"/mails?limit=2&cursor={cursor}")).json()
        ids = [each["id"] for each in first["mails"] + second["mails"]]
        assert (len(ids), len(set(ids)), second["cursor"]) == (3, 3, None)
        assert (await api.ask("GET", "/mails?category=work")).json()["mails"] == []
        row = {
            "mail_id": api.ann.mail_id, "user_id": api.ann.id, "digest": "", "version": 1,
            "category": "work", "sentiment": "neutral", "sentiment_score": 0.0, "urgency": "high",
            "summary": "The tide.", "language": "en", "action_items": [{"text": "Go."}],
            "keywords": ["tide"], "is_spam": False, "spam_probability": 0.1, "spam_reasons": [],
            "origin": {"provider": "offline", "model": "m", "mode": "extractive"},
            "degraded": True, "warnings": [], "analyzed_at": utc_now(),
        }  # fmt: skip
        link = {"context_id": api.ann.context_id, "mail_id": api.ann.mail_id, "matched": "tide"}
        async with api.mailroom.database.writing() as session:
            await session.execute(insert(tables.analyses).values(**row))
            await session.execute(insert(tables.context_links).values(**link))
        shown = (await api.ask("GET", f"/mails/{api.ann.mail_id}")).json()
        assert (shown["text"], shown["analysis"]["category"]) == ("The tide is coming.", "work")
        assert [each["matched"] for each in shown["contexts"]] == ["tide"]
        for only in ("category=work", f"context={api.ann.context_id}", "contact=ann0@example.org"):
            found = (await api.ask("GET", f"/mails?{only}")).json()["mails"]
            assert [each["id"] for each in found] == [api.ann.mail_id], only
        others = (await api.ask("GET", f"/mails?context={api.bob.context_id}")).json()["mails"]
        assert others == []
        counted = (await api.ask("GET", "/statistics")).json()
        assert (counted["mails"], counted["analyzed"], counted["degraded"]) == (3, 1, 1)
        assert counted["categories"] == {"work": 1}


async def test_search_finds_what_is_the_users_own(opens: Opens) -> None:
    async with served(opens) as api:
        (hit,) = (await api.ask("GET", "/search?q=tide&k=5")).json()["hits"]
        assert hit["mail"]["id"] == api.ann.mail_id
        assert "tide of ann" in hit["text"]
        (hit,) = (await api.ask("GET", "/search?q=tide", api.bob.token)).json()["hits"]
        assert hit["mail"]["id"] == api.bob.mail_id


async def test_tasks_are_enqueued_once_and_belong_to_the_user(opens: Opens) -> None:
    async with served(opens) as api:
        path = f"/mails/{api.ann.mail_id}/analyze"
        first, again = [(await api.ask("POST", path)).json() for _ in range(2)]
        assert again == {"task_id": first["task_id"], "duplicate": True}
        task = await app.handle(first["task_id"]).get()
        assert (task.task_type, task.user_id) == ("email:analyze", api.ann.id)
        synced = (await api.ask("POST", f"/accounts/{api.ann.account_id}/sync")).json()
        assert (await app.handle(synced["task_id"]).get()).task_type == "email:sync"
        body = {"name": "Wheel", "keywords": ["wheel"]}
        made = (await api.ask("POST", "/contexts", json=body)).json()
        await api.mailroom.outbox.relay()
        backfill = await app.handle(made["task_id"]).get()
        assert (backfill.task_type, backfill.user_id) == ("context:backfill", api.ann.id)
        assert_problem(await api.ask("POST", "/contexts", json=body), 409, "conflict")


async def test_an_account_that_lost_its_password_is_not_synced(opens: Opens) -> None:
    async with served(opens) as api:
        async with api.mailroom.database.writing() as session:
            await set_state(session, api.ann.account_id, "auth_failed", "wrong password")
        answer = await api.ask("POST", f"/accounts/{api.ann.account_id}/sync")
        assert_problem(answer, 409, "conflict")
        assert "auth_failed: wrong password" in answer.json()["detail"]
        again = {"host": "mail.example.org", "username": "ann", "password": "new"}
        assert (await api.ask("POST", "/accounts", json=again)).json()["state"] == "active"
        answer = await api.ask("POST", f"/accounts/{api.ann.account_id}/sync")
        assert answer.status_code == 202


async def test_what_cannot_be_done_is_a_problem_with_a_name(opens: Opens) -> None:
    async with served(opens) as api:
        for method, path, said, status, slug in REFUSED:
            assert_problem(await api.ask(method, path, **said), status, slug)


async def test_an_invalid_account_does_not_tell_its_password(opens: Opens) -> None:
    async with served(opens) as api:
        for wrong in ({"port": 0}, {"security": PASSWORD[:3]}, {"username": "  "}, {"port": "x"}):
            answer = await api.ask("POST", "/accounts", json={**NEW_ACCOUNT, **wrong})
            assert answer.status_code == 422
            assert PASSWORD not in answer.text


async def test_a_new_token_takes_the_place_of_the_old(opens: Opens) -> None:
    async with served(opens) as api:
        async with api.mailroom.database.writing() as session:
            token = await new_token(session, api.ann.id)
        assert_problem(await api.ask("GET", "/statistics"), 401, "unauthenticated")
        assert (await api.ask("GET", "/statistics", token)).status_code == 200
