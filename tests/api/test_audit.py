"""What requests leave in the audit."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.api.callers import ANA, USER, Caller, House, house
from tidemill.access import FULL, Scope
from tidemill.api import operations

OpenHouse = Callable[[], AbstractAsyncContextManager[House]]


@pytest.fixture(params=["memory", "sqlite"])
def open_house(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHouse:
    """Opens a closed site on one kind of engine."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'tasks.db'}"
    return lambda: house(url)


async def _entries(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    told: dict[str, list[dict[str, Any]]] = await caller.ask("GET", f"/audit{query}", 200)
    return told["entries"]


def test_what_changes_and_is_no_submit_is_audited() -> None:
    not_audited = {each.name for each in operations() if each.method != "GET" and not each.audited}
    assert not_audited == {"submit_task", "submit_tasks"}
    assert not any(each.audited for each in operations() if each.method == "GET")


async def test_each_change_leaves_exactly_one_entry(open_house: OpenHouse) -> None:
    async with open_house() as here:
        admin = await here.caller(name="root")
        first, second = await admin.submit(), await admin.submit()
        flow = here.app.workflow("w")
        flow.add(here.app.function("echo").call(1))
        begun = (await flow.enqueue()).id
        queue = {"name": "mail", "rate": "5/s"}
        schedule = {"name": "daily", "task_type": "echo", "every": 60}
        changes: list[tuple[str, str, str, int, Any]] = [
            ("delete_task", "DELETE", f"/tasks/{first['task_id']}", 200, None),
            ("cancel_task", "POST", f"/tasks/{second['task_id']}/cancel", 200, {}),
            ("retry_task", "POST", f"/tasks/{second['task_id']}/retry", 200, {}),
            ("create_queue", "POST", "/queues", 201, queue),
            ("change_queue", "PATCH", "/queues/mail", 200, {"concurrency": 3}),
            ("pause_queue", "POST", "/queues/mail/pause", 200, {}),
            ("resume_queue", "POST", "/queues/mail/resume", 200, {}),
            ("reset_queue", "POST", "/queues/mail/reset", 200, {}),
            ("purge_queue", "POST", "/queues/mail/purge", 200, {}),
            ("create_scheduled_task", "POST", "/scheduled-tasks", 201, schedule),
            ("change_scheduled_task", "PUT", "/scheduled-tasks/daily", 200, {"every": 90}),
            ("pause_scheduled_task", "POST", "/scheduled-tasks/daily/pause", 200, {}),
            ("resume_scheduled_task", "POST", "/scheduled-tasks/daily/resume", 200, {}),
            ("run_scheduled_task", "POST", "/scheduled-tasks/daily/run", 201, {}),
            ("delete_scheduled_task", "DELETE", "/scheduled-tasks/daily", 204, None),
            ("cancel_workflow", "POST", f"/workflows/{begun}/cancel", 202, {}),
            ("retry_workflow", "POST", f"/workflows/{begun}/retry", 200, {}),
        ]
        for action, method, path, status, body in changes:
            await admin.ask(method, path, status, body, headers={"X-Request-ID": action})
            entry = (await _entries(admin))[0]
            assert (entry["action"], entry["status"]) == (action, status)
            assert (entry["who"], entry["request_id"]) == ("key:root", action)
            assert entry["address"] == "127.0.0.1"
        found = await _entries(admin)
        assert [each["action"] for each in found] == [each[0] for each in reversed(changes)]
        by_action = {each["action"]: each for each in found}
        assert by_action["cancel_task"]["subject"] == {"task_id": second["task_id"]}
        assert by_action["create_queue"]["subject"] == {"queue_name": "mail"}
        assert by_action["change_queue"]["before"]["concurrency"] is None
        assert by_action["change_queue"]["after"]["concurrency"] == 3
        assert by_action["pause_queue"]["after"] == {"paused": True}
        assert by_action["change_scheduled_task"]["before"] == {"every": 60}
        assert by_action["change_scheduled_task"]["after"] == {"every": 90}


async def test_groups_of_failed_tasks_leave_an_entry_where_there_were_any(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        admin = await here.caller()
        await admin.submit("broken")
        path = f"/failed-groups/{await here.fail()}"
        await admin.ask("POST", f"{path}/retry", 200, {})
        await admin.ask("POST", f"{path}/retry", 200, {})
        await here.fail()
        await admin.ask("DELETE", path, 200)
        await admin.ask("DELETE", path, 200)
        actions = [each["action"] for each in await _entries(admin)]
        assert actions == ["drop_failed_group", "retry_failed_group"]


async def test_what_changes_nothing_leaves_nothing(open_house: OpenHouse) -> None:
    async with open_house() as here:
        admin = await here.caller()
        task = await admin.submit()
        await admin.ask("POST", "/queues", 201, {"name": "mail"})
        await admin.ask("POST", "/queues/mail/resume", 200, {})
        await admin.ask("POST", "/queues/mail/purge?dry_run=true", 200, {})
        await admin.ask("POST", "/queues/no.such/pause", 404, {})
        await admin.ask("PATCH", "/queues/mail", 412, {"weight": 2}, headers={"If-Match": '"9"'})
        await admin.ask("PATCH", "/queues/mail", 422, {"weight": 0})
        await admin.ask("POST", f"/tasks/{task['task_id']}/retry", 409, {})
        await admin.ask("GET", f"/tasks/{task['task_id']}", 200)
        assert [each["action"] for each in await _entries(admin)] == ["create_queue"]


async def test_a_refused_change_is_noted_once_a_minute_for_each_caller_and_operation(
    open_house: OpenHouse,
) -> None:
    async with open_house() as here:
        admin = await here.caller()
        viewer = await here.caller({Scope.VIEW}, name="viewer")
        for name in ("a", "b", "c"):
            await viewer.ask("POST", f"/queues/{name}/pause", 403, {})
            await viewer.ask("POST", f"/queues/{name}/resume", 403, {})
        await viewer.ask("GET", "/audit", 403)
        found = await _entries(admin, "?who=key:viewer")
        assert [(each["action"], each["status"]) for each in found] == [
            ("resume_queue", 403),
            ("pause_queue", 403),
        ]
        assert found[0]["subject"] == {"queue_name": "a"}


async def test_the_audit_holds_no_payload_no_result_and_no_key(open_house: OpenHouse) -> None:
    async with open_house() as here:
        admin = await here.caller(FULL)
        form = {"task_type": "echo", "payload": {"value": "canary"}}
        task = await admin.ask("POST", "/tasks", 201, form)
        await here.hand.complete(await here.hand.take(), "canary")
        cancelled = (await admin.ask("POST", "/tasks", 201, form))["task_id"]
        await admin.ask("DELETE", f"/tasks/{cancelled}", 200)
        edited = {"payload": {"value": "canary-2"}}
        await admin.ask("POST", f"/tasks/{cancelled}/retry", 201, edited)
        await admin.ask("POST", f"/tasks/{task['task_id']}/retry", 409, edited)
        schedule = {"name": "s", "every": 60} | form
        await admin.ask("POST", "/scheduled-tasks", 201, schedule)
        await admin.ask("PUT", "/scheduled-tasks/s", 200, {"payload": {"value": "canary-3"}})
        made = await admin.ask("POST", "/keys", 201, {"name": "k", "scopes": ["view"]})
        engine = await here.app.engine()
        days = await engine.documents("audit")
        stored = [each for day in days for each in await engine.documents(f"audit:{day.key}")]
        assert len(stored) == 5
        for each in stored:
            assert b"canary" not in each.body
            assert made["key"].encode() not in each.body
        assert "canary" not in json.dumps(await _entries(admin))


async def test_the_audit_is_for_admins_who_are_bound_to_nobody(open_house: OpenHouse) -> None:
    async with open_house() as here:
        operator = await here.caller({Scope.OPERATE, Scope.SUBMIT, Scope.PAYLOADS})
        await operator.ask("GET", "/audit", 403)
        await (await here.caller(USER | {Scope.ADMIN}, ANA)).ask("GET", "/audit", 403)


async def test_the_audit_is_read_by_who_what_and_when(open_house: OpenHouse) -> None:
    async with open_house() as here:
        admin, other = await here.caller(), await here.caller(name="other")
        await admin.ask("POST", "/queues", 201, {"name": "a"})
        await other.ask("POST", "/queues", 201, {"name": "b"})
        await other.ask("POST", "/queues/b/pause", 200, {})
        newest, _, oldest = await _entries(admin)
        assert await _entries(admin, "?limit=1") == [newest]
        assert len(await _entries(admin, "?who=key:other")) == 2
        assert await _entries(admin, "?action=pause_queue") == [newest]
        at = newest["at"].replace("+", "%2B")
        assert await _entries(admin, f"?since={at}") == [newest]
        assert await _entries(admin, f"?until={oldest['at'].replace('+', '%2B')}") == []
        await admin.ask("GET", "/audit?limit=0", 422)
