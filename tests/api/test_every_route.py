"""Every route, tried by everybody who must not use it, and by who may.

The table is made of `operations()`: a route that is added is tried, or fails for want of names.
"""

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.callers import ANA, USER, Caller, House, house
from tidemill.access import FULL, Scope
from tidemill.api import operations
from tidemill.api.examples import EXAMPLES
from tidemill.api.routing import Operation

ENGINES = ("memory", "sqlite")
BODY_OF: Mapping[str, Any] = {"retry_task": {}, "create_key": {"name": "more", "scopes": ["view"]}}
"""Bodies where the example of their shape asks for more than the scope of the route."""

TOO_SMALL: Mapping[Scope, frozenset[Scope]] = {
    Scope.VIEW: frozenset({Scope.PAYLOADS}),
    Scope.SUBMIT: frozenset({Scope.OPERATE, Scope.PAYLOADS}),
    Scope.OPERATE: frozenset({Scope.SUBMIT, Scope.PAYLOADS}),
    Scope.ADMIN: frozenset({Scope.OPERATE, Scope.SUBMIT, Scope.PAYLOADS}),
}
"""All that does not contain a scope."""

OpenHouse = Callable[[], AbstractAsyncContextManager[tuple[House, "Things"]]]

CLOSED = [each for each in operations() if each.scope is not None]
OPEN = [each for each in operations() if each.scope is None]


class Things:
    """Names of what exists, all of it bob's, and of what does not."""

    def __init__(self, there: Mapping[str, str]) -> None:
        self._there = there

    def path(self, operation: Operation, *, there: bool) -> str:
        """The path of an operation about a thing that exists, or about one that does not."""
        names = self._there if there else _UNKNOWN
        return operation.prefix + re.sub(r"\{(\w+)\}", lambda m: names[m[1]], operation.path)


_UNKNOWN: Mapping[str, str] = {
    "task_id": str(uuid.UUID(int=7)),
    "workflow_id": str(uuid.UUID(int=7)),
    "webhook_id": str(uuid.UUID(int=7)),
    "key_id": "0" * 16,
    "queue_name": "no.such.thing",
    "name": "no.such.thing",
    "silence_id": str(uuid.UUID(int=7)),
    "fingerprint": "beef",
}


@asynccontextmanager
async def inhabited(url: str) -> AsyncIterator[tuple[House, Things]]:
    """A house in which everything is bob's."""
    async with house(url) as here:
        broken = here.app.function("broken").options(user_id="bob", tags=["canary-of-bob"])
        await broken.enqueue("canary-of-bob")
        fingerprint = await here.fail()
        echo = here.app.function("echo").options(user_id="bob")
        waiting = await echo.enqueue("canary-of-bob")
        flow = here.app.workflow("canary-of-bob")
        flow.add(echo.call("canary-of-bob"))
        begun = await flow.enqueue()
        await here.app.schedules.create("canary-of-bob", "echo", every=3600, user_id="bob")
        await here.app.queues.create("canary.queue")
        key = await here.app.keys.create("canary-of-bob", {Scope.VIEW})
        there = dict(_UNKNOWN) | {
            "task_id": waiting.id,
            "workflow_id": begun.id,
            "key_id": key.key.id,
            "queue_name": "canary.queue",
            "name": "canary-of-bob",
            "fingerprint": fingerprint,
        }
        yield here, Things(there)


@pytest.fixture(params=ENGINES)
def open_house(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHouse:
    """Opens an inhabited house on one kind of engine."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'tasks.db'}"
    return lambda: inhabited(url)


def _body(operation: Operation) -> Any:
    if operation.name in BODY_OF:
        return BODY_OF[operation.name]
    if operation.method in {"GET", "DELETE"}:
        return None
    return EXAMPLES.get(operation.shape.__name__, {})


async def _try(caller: Caller, operation: Operation, path: str) -> httpx.Response:
    return await caller.send(operation.method, path, _body(operation))


def _told(answer: httpx.Response) -> tuple[int, str | None, bytes]:
    """All of a refusal that may tell something."""
    return answer.status_code, answer.headers.get("content-type"), answer.content


async def _all_refused(
    here: House, things: Things, caller: Callable[[Operation], Awaitable[Caller]], status: int
) -> None:
    """Nobody gets anywhere, and the refusal is the same whatever there is, with any body."""
    for operation in CLOSED:
        asking = await caller(operation)
        answers = [
            await _try(asking, operation, things.path(operation, there=there))
            for there in (True, False)
        ]
        answers.append(
            await asking.send(
                operation.method,
                things.path(operation, there=True) + "?no=such&no=such",
                content=b"{not json",
            )
        )
        told = {_told(each) for each in answers}
        assert len(told) == 1, f"{operation.name}: {told}"
        assert answers[0].status_code == status, f"{operation.name}: {answers[0].text}"
        assert b"canary" not in answers[0].content, operation.name


async def test_nobody_gets_in_without_a_key(open_house: OpenHouse) -> None:
    async with open_house() as (here, things):

        async def caller(_: Operation) -> Caller:
            return here.nobody()

        await _all_refused(here, things, caller, 401)


async def test_nobody_gets_in_with_a_wrong_key(open_house: OpenHouse) -> None:
    async with open_house() as (here, things):
        right = (await here.app.keys.create("right", FULL)).text
        wrong = here.nobody(right[:-1] + ("A" if right[-1] != "A" else "B"))

        async def caller(_: Operation) -> Caller:
            return wrong

        await _all_refused(here, things, caller, 401)


async def test_nobody_gets_in_with_a_revoked_key(open_house: OpenHouse) -> None:
    async with open_house() as (here, things):
        revoked = await here.revoked()

        async def caller(_: Operation) -> Caller:
            return revoked

        await _all_refused(here, things, caller, 401)


async def test_a_key_of_too_small_a_scope_is_refused_everywhere(
    open_house: OpenHouse,
) -> None:
    async with open_house() as (here, things):
        callers = {
            scope: await here.caller(less, name=f"less.{scope}")
            for scope, less in TOO_SMALL.items()
        }

        async def caller(operation: Operation) -> Caller:
            assert operation.scope is not None
            return callers[operation.scope]

        await _all_refused(here, things, caller, 403)


async def test_a_tenant_finds_nothing_of_others_by_any_route(
    open_house: OpenHouse,
) -> None:
    async with open_house() as (here, things):
        ana = await here.caller(USER | {Scope.ADMIN}, ANA)
        before = await _standing(here)
        for operation in CLOSED:
            if operation.media_type == "text/event-stream" and "{" not in operation.path:
                continue  # it goes on for ever: what it tells a tenant is tried in test_tenants
            path, elsewhere = (things.path(operation, there=each) for each in (True, False))
            answer = await _try(ana, operation, path)
            unknown = await _try(ana, operation, elsewhere)
            names = _names(path, elsewhere)
            said = answer.content.decode()
            for real, other in names:
                said = said.replace(real, other)
            assert "canary" not in said, f"{operation.name}: {said}"
            if not operation.tenants:
                assert answer.status_code == 403, operation.name
            if "{" in operation.path:
                assert _told(answer)[:2] == _told(unknown)[:2], operation.name
                assert said.encode() == unknown.content, operation.name
                assert answer.status_code in {403, 404} or said in _NOTHING, operation.name
        assert await _standing(here) == before


_NOTHING = frozenset({'{"asked":0,"retried":0,"refused":{}}', '{"dropped":0}'})
"""What is done to a group of failed tasks that has none of the caller's."""


def _names(path: str, elsewhere: str) -> Iterator[tuple[str, str]]:
    for real, other in zip(path.split("/"), elsewhere.split("/"), strict=True):
        if real != other:
            yield real, other


async def _standing(here: House) -> list[tuple[str, str]]:
    """All that is bob's, as it stands."""
    tasks = (await here.caller()).ask("GET", "/tasks?user_id=bob", 200)
    found = [(each["task_id"], each["status"]) for each in (await tasks)["tasks"]]
    names = [(each.schedule.name, str(each.version)) for each in await here.app.schedules.list()]
    return found + [each for each in names if each[0] == "canary-of-bob"]


async def test_the_right_scope_opens_each_route(open_house: OpenHouse) -> None:
    async with open_house() as (here, things):
        for operation in CLOSED:
            assert operation.scope is not None
            caller = await here.caller({operation.scope, Scope.PAYLOADS})
            path = things.path(operation, there=True)
            async with here.client.stream(
                operation.method, path, json=_body(operation), headers=caller.headers
            ) as answer:
                assert answer.status_code not in {401, 403}, operation.name
                assert answer.status_code < 500, operation.name


async def test_only_health_and_nothing_else_is_open(open_house: OpenHouse) -> None:
    assert {each.name for each in OPEN} == {"get_health", "get_readiness"}
    async with open_house() as (here, things):
        for operation in OPEN:
            answer = await _try(here.nobody(), operation, things.path(operation, there=True))
            assert answer.status_code == 200
        unknown = await here.nobody().send("GET", "/api/v1/no/such/route")
        assert unknown.status_code == 401
