"""Callers that are bound to a user or a project: what is theirs, and nothing else."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.callers import ANA, BOB, USER, Caller, House, house
from tests.api.conftest import problem
from tidemill.access import FULL, Access, Scope, Tenant
from tidemill.api import create_api
from tidemill.task import State

_NOW = timedelta(0)

OpenHouse = Callable[[], AbstractAsyncContextManager[House]]


@pytest.fixture(params=["memory", "sqlite"])
def open_house(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHouse:
    """Opens a closed site on one kind of engine."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'tasks.db'}"
    return lambda: house(url)


async def test_what_a_tenant_submits_is_its_own(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana = await here.caller(USER, Tenant(user_id="ana", project_id="p1"), name="mailer")
        task = await ana.submit(payload={"value": 1})
        assert (task["user_id"], task["project_id"]) == ("ana", "p1")
        assert task["submitted_by"] == "key:mailer"
        said = {"user_id": "ana", "project_id": "p1"}
        assert (await ana.submit(**said))["user_id"] == "ana"
        form = {"task_type": "echo"}
        told = await ana.ask("POST", "/tasks/bulk", 201, {"tasks": [form, form | said]})
        for each in told["tasks"]:
            found = await ana.ask("GET", f"/tasks/{each['task_id']}", 200)
            assert (found["user_id"], found["project_id"]) == ("ana", "p1")


async def test_a_tenant_of_a_user_may_choose_its_projects(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana = await here.caller(USER, ANA)
        assert (await ana.submit(project_id="p7"))["project_id"] == "p7"
        of_project = await here.caller(USER, Tenant(project_id="p7"))
        assert (await of_project.ask("GET", "/tasks", 200))["total"] == 1


async def test_naming_others_in_a_submit_is_refused_and_nothing_is_made(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        ana, all_seeing = await here.caller(USER, ANA), await here.caller()
        form = {"task_type": "echo", "user_id": "bob"}
        one = await ana.send("POST", "/api/v1/tasks", form)
        assert (one.status_code, problem(one).type) == (403, "forbidden")
        told = await ana.ask("POST", "/tasks/bulk", 207, {"tasks": [form]})
        assert told["tasks"][0]["error"]["type"] == "forbidden"
        schedule = {"name": "n", "task_type": "echo", "every": 60, "user_id": "bob"}
        await ana.ask("POST", "/scheduled-tasks", 403, schedule)
        assert (await all_seeing.ask("GET", "/tasks", 200))["total"] == 0
        assert (await all_seeing.ask("GET", "/scheduled-tasks", 200)) == {"scheduled_tasks": []}


async def test_lists_hold_a_tenants_own_tasks_whatever_is_asked(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        own = {(await ana.submit())["task_id"] for _ in range(3)}
        await bob.submit()
        await (await here.caller()).submit()
        for query in ("", "?user_id=ana", "?cursor=", "?limit=10", "?status=pending&page=1"):
            page = await ana.ask("GET", f"/tasks{query}", 200)
            assert {each["task_id"] for each in page["tasks"]} == own, query
        assert (await ana.ask("GET", "/tasks", 200))["total"] == 3
        for query in ("?user_id=bob", "?user_id=bob&cursor=", "?user_id=bob&limit=5"):
            page = await ana.ask("GET", f"/tasks{query}", 200)
            nobody = await ana.ask("GET", f"/tasks{query.replace('bob', 'nobody')}", 200)
            assert page == nobody
            assert page["tasks"] == []


async def test_an_id_of_others_cannot_be_taken_read_or_told_of(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        taken = str(uuid.uuid4())
        await bob.submit(id=taken, payload={"value": "canary-of-bob"})
        form = {"task_type": "echo", "id": taken, "payload": {"value": "mine"}}
        answer = await ana.send("POST", "/api/v1/tasks", form)
        assert (answer.status_code, problem(answer).type) == (409, "task-id-taken")
        assert "bob" not in answer.text
        bulk = {"tasks": [form, {"task_type": "echo", "id": str(uuid.uuid4())}]}
        told = await ana.ask("POST", "/tasks/bulk", 207, bulk)
        assert [each["status"] for each in told["tasks"]] == [409, 201]
        assert "task_id" not in told["tasks"][0] or told["tasks"][0]["task_id"] is None
        kept = await bob.ask("GET", f"/tasks/{taken}", 200)
        assert kept["payload"] == {"value": "canary-of-bob"}
        own = {"task_type": "echo", "id": str(uuid.uuid4())}
        first = await ana.ask("POST", "/tasks", 201, own)
        assert (await ana.ask("POST", "/tasks", 201, own))["task_id"] == first["task_id"]


async def test_unique_keys_of_tenants_never_meet(open_house: OpenHouse) -> None:
    async with open_house() as here:
        callers = [await here.caller(USER, tenant) for tenant in (ANA, BOB)]
        callers.append(await here.caller())
        for form in (
            {"task_type": "echo", "unique_key": "k"},
            {"task_type": "alone", "payload": {"name": "k"}},
        ):
            ids = set()
            for caller in callers:
                first = await caller.ask("POST", "/tasks", 201, form)
                again = await caller.ask("POST", "/tasks", 200, form)
                assert again["task_id"] == first["task_id"]
                bulk = await caller.ask("POST", "/tasks/bulk", 201, {"tasks": [form]})
                assert bulk["tasks"][0]["task_id"] == first["task_id"]
                ids.add(first["task_id"])
            assert len(ids) == len(callers)


async def test_a_task_retried_with_another_payload_takes_no_key_of_others(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        form = {"task_type": "alone", "payload": {"name": "k"}}
        task = await ana.ask("POST", "/tasks", 201, form)
        await ana.ask("DELETE", f"/tasks/{task['task_id']}", 200)
        await bob.ask("POST", "/tasks", 201, form)
        await (await here.caller()).ask("POST", "/tasks", 201, form)
        edited = {"payload": {"name": "k"}}
        again = await ana.ask("POST", f"/tasks/{task['task_id']}/retry", 201, edited)
        assert (again["user_id"], again["retried_from"]) == ("ana", task["task_id"])
        assert again["submitted_by"] == "key:test"


async def test_a_retry_with_another_payload_is_a_submit_too(open_house: OpenHouse) -> None:
    async with open_house() as here:
        task = await (await here.caller()).submit()
        operator = await here.caller({Scope.OPERATE})
        path = f"/tasks/{task['task_id']}"
        await operator.ask("DELETE", path, 200)
        await operator.ask("POST", f"{path}/retry", 403, {"payload": {"value": 2}})
        await operator.ask("POST", f"{path}/retry", 200, {})


async def test_an_idempotency_key_is_its_callers_own(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana, also_ana = await here.caller(USER, ANA), await here.caller(USER, ANA)
        bob = await here.caller(USER, BOB)
        key = {"Idempotency-Key": "order-1"}
        form = {"task_type": "echo", "payload": {"value": 1}}
        made = [
            await each.send("POST", "/api/v1/tasks", form, headers=key)
            for each in (ana, bob, also_ana)
        ]
        assert [each.status_code for each in made] == [201, 201, 201]
        assert all("idempotency-replayed" not in each.headers for each in made)
        assert len({each.json()["task_id"] for each in made}) == 3
        other = await bob.send("POST", "/api/v1/tasks", form | {"priority": 9}, headers=key)
        assert other.status_code == 422
        again = await ana.send("POST", "/api/v1/tasks", form, headers=key)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.content == made[0].content


async def test_payloads_are_shown_to_the_scope_payloads_only(open_house: OpenHouse) -> None:
    async with open_house() as here:
        blind = await here.caller({Scope.SUBMIT, Scope.OPERATE})
        seeing = await here.caller({Scope.SUBMIT, Scope.PAYLOADS})
        form = {"task_type": "echo", "payload": {"value": "canary"}}
        key = {"Idempotency-Key": "order-1"}
        task = await blind.ask("POST", "/tasks", 201, form, headers=key)
        assert "payload" not in task
        assert task["withheld"] is True
        path = f"/tasks/{task['task_id']}"
        claim = await here.hand.take()
        await here.hand.complete(claim, "canary-result")
        shown = await seeing.ask("GET", path, 200)
        assert (shown["payload"], shown["result"]) == ({"value": "canary"}, "canary-result")
        assert "withheld" not in shown
        told = await seeing.ask("GET", f"{path}/result", 200)
        assert (told["result"], "withheld" in told) == ("canary-result", False)
        schedule = {"name": "daily", "task_type": "echo", "every": 60} | {
            "payload": form["payload"]
        }
        made = await blind.ask("POST", "/scheduled-tasks", 201, schedule)
        assert made["withheld"] is True
        full = await seeing.ask("GET", "/scheduled-tasks/daily", 200)
        assert full["payload"] == {"value": "canary"}
        for ask in (path, f"{path}/result", "/tasks", "/scheduled-tasks", "/scheduled-tasks/daily"):
            assert "canary" not in json.dumps(await blind.ask("GET", ask, 200)), ask
        run = await blind.send("POST", "/api/v1/scheduled-tasks/daily/run")
        assert (run.status_code, "canary" in run.text) == (201, False)
        again = await blind.send("POST", "/api/v1/tasks", form, headers=key)
        assert "canary" not in again.text


async def test_a_kept_answer_shows_no_payload_to_a_token_that_may_not_see_it(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        scopes = iter([FULL, {Scope.SUBMIT}])

        async def authenticate(_: Any) -> Access:
            return Access(who="user:ana", subject="jwt:ana", scopes=frozenset(next(scopes)))

        asked = httpx.ASGITransport(app=create_api(here.app, authenticate))
        async with httpx.AsyncClient(transport=asked, base_url="http://localhost") as client:
            form = {"task_type": "echo", "payload": {"value": "canary"}}
            key = {"Idempotency-Key": "order-1"}
            first = await client.post("/api/v1/tasks", json=form, headers=key)
            again = await client.post("/api/v1/tasks", json=form, headers=key)
        assert first.json()["payload"] == {"value": "canary"}
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["task_id"] == first.json()["task_id"]
        assert "canary" not in again.text


async def test_scheduled_tasks_of_a_tenant_have_names_that_meet_nobodys(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        form = {"name": "daily", "task_type": "echo", "every": 3600}
        made = [await each.ask("POST", "/scheduled-tasks", 201, form) for each in (ana, bob)]
        await (await here.caller()).ask("POST", "/scheduled-tasks", 201, form)
        names = [each["name"] for each in made]
        assert len({*names, "daily"}) == 3
        assert [each["user_id"] for each in made] == ["ana", "bob"]
        await ana.ask("POST", "/scheduled-tasks", 409, form)
        listed = await ana.ask("GET", "/scheduled-tasks", 200)
        assert [each["name"] for each in listed["scheduled_tasks"]] == names[:1]
        mine, foreign = (f"/scheduled-tasks/{each}" for each in names)
        await ana.ask("GET", mine, 200)
        for method, rest, body in (
            ("GET", "", None),
            ("GET", "/history", None),
            ("PUT", "", {"every": 60}),
            ("POST", "/pause", {}),
            ("POST", "/resume", {}),
            ("POST", "/run", {}),
            ("DELETE", "", None),
        ):
            await ana.ask(method, foreign + rest, 404, body)
        changed = await ana.ask("PUT", mine, 200, {"user_id": None, "project_id": "p1"})
        assert (changed["user_id"], changed["project_id"]) == ("ana", "p1")
        await ana.ask("PUT", mine, 403, {"user_id": "bob"})
        task = await ana.ask("POST", f"{mine}/run", 201)
        assert task["user_id"] == "ana"
        await ana.ask("DELETE", mine, 204)
        await bob.ask("GET", foreign, 200)


async def test_a_tenant_schedules_nothing_that_shares_a_unique_key(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana = await here.caller(USER, ANA)
        form = {"name": "x", "task_type": "alone", "every": 60, "overlap": "allow"}
        await ana.ask("POST", "/scheduled-tasks", 422, form | {"payload": {"name": "k"}})
        made = await ana.ask("POST", "/scheduled-tasks", 201, form | {"task_type": "echo"})
        change = {"task_type": "alone", "payload": {"name": "k"}}
        await ana.ask("PUT", f"/scheduled-tasks/{made['name']}", 422, change)


async def test_failed_groups_are_of_a_tenants_own_tasks(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana = await here.caller(USER | {Scope.ADMIN}, ANA)
        bob = await here.caller(USER, BOB)
        theirs = await bob.submit("broken")
        await here.fail()
        mine = await ana.submit("broken")
        fingerprint = await here.fail()
        [group] = (await ana.ask("GET", "/failed-groups", 200))["groups"]
        assert (group["count"], group["examples"]) == (1, [mine["task_id"]])
        assert (await ana.ask("GET", "/failed-groups?user_id=bob", 200))["groups"] == []
        path = f"/failed-groups/{fingerprint}"
        none = await ana.ask("POST", f"{path}/retry?user_id=bob", 200, {})
        assert none["asked"] == 0
        assert (await ana.ask("POST", f"{path}/retry", 200, {}))["retried"] == 1
        assert (await bob.ask("GET", f"/tasks/{theirs['task_id']}", 200))["status"] == "failed"
        assert (await ana.ask("DELETE", path, 200)) == {"dropped": 0}
        await here.fail()
        assert (await ana.ask("DELETE", path, 200)) == {"dropped": 1}
        assert (await bob.ask("GET", f"/tasks/{theirs['task_id']}", 200))["status"] == "failed"


async def test_a_workflow_is_a_tenants_when_all_of_it_is(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana = await here.caller(USER, ANA)
        of_ana = here.app.function("echo").options(user_id="ana")
        of_bob = here.app.function("echo").options(user_id="bob")
        own, mixed = here.app.workflow("own"), here.app.workflow("mixed")
        own.add(of_ana.call(1))
        own.add(of_ana.call(2))
        mixed.add(of_ana.call(1))
        mixed.add(of_bob.call(2))
        mine, shared = (await own.enqueue()).id, (await mixed.enqueue()).id
        assert (await ana.ask("GET", f"/workflows/{mine}", 200))["total"] == 2
        steps = await ana.ask("GET", f"/workflows/{mine}/steps", 200)
        assert len(steps["steps"]) == 2
        for method, rest in (
            ("GET", ""),
            ("GET", "/steps"),
            ("POST", "/cancel"),
            ("POST", "/retry"),
        ):
            await ana.ask(
                method, f"/workflows/{shared}{rest}", 404, {} if method == "POST" else None
            )
        await ana.ask("POST", f"/workflows/{mine}/cancel", 202, {})
        assert (await here.app.workflow_handle(shared).get()).state is not State.CANCELLED


async def test_a_tenant_waits_for_nobody_elses_task(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        task = await bob.submit()
        asking = ana.send("GET", f"/api/v1/tasks/{task['task_id']}", headers={"Prefer": "wait=60"})
        answer = await asyncio.wait_for(asking, 20)  # it does not take the minute it asks for
        assert answer.status_code == 404


async def _events(here: House, caller: Caller, path: str) -> AsyncGenerator[dict[str, str], None]:
    """The events of a stream, after an empty one that says that it has begun."""
    async with here.client.stream("GET", path, headers=caller.headers) as answer:
        assert answer.status_code == 200
        event: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            else:
                yield event
                event = {}


async def test_a_stream_of_all_tells_a_tenant_of_its_own_tasks_only(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        stream = _events(here, ana, "/api/v1/events")
        begun = await anext(stream)
        assert "event" not in begun
        theirs, mine = await bob.submit(), await ana.submit()
        later = await bob.submit()
        await ana.ask("DELETE", f"/tasks/{mine['task_id']}", 200)
        told = [await anext(stream) for _ in range(2)]
        await stream.aclose()
        assert [each["event"] for each in told] == ["enqueued", "cancelled"]
        text = json.dumps(told)
        assert mine["task_id"] in text
        assert theirs["task_id"] not in text
        assert later["task_id"] not in text


async def test_a_stream_that_goes_on_tells_a_tenant_of_its_own_tasks_only(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        ana.headers["Last-Event-ID"] = (await (await here.app.engine()).feed(None, 1, _NOW)).cursor
        theirs, mine = await bob.submit(), await ana.submit()
        stream = _events(here, ana, "/api/v1/events")
        await anext(stream)
        told = await anext(stream)
        await stream.aclose()
        assert (told["event"], mine["task_id"] in told["data"]) == ("enqueued", True)
        assert theirs["task_id"] not in json.dumps(told)


async def test_a_stream_that_lost_changes_counts_nothing_for_a_tenant(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        await bob.submit()
        ana.headers["Last-Event-ID"] = "long-gone"
        stream = _events(here, ana, "/api/v1/events")
        told = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        assert [each.get("event") for each in told] == [None, "reset", "state"]
        assert json.loads(told[2]["data"])["queues"] == []


async def test_the_stream_of_a_foreign_task_is_not_there(open_house: OpenHouse) -> None:
    async with open_house() as here:
        ana, bob = await here.caller(USER, ANA), await here.caller(USER, BOB)
        task = await bob.submit()
        for task_id in (task["task_id"], str(uuid.UUID(int=7))):
            await ana.ask("GET", f"/tasks/{task_id}/events", 404)
