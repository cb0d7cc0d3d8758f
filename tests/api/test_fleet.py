"""Failed tasks in groups, workers, workflows, health."""

import asyncio

from tests.api.conftest import OpenSite, Site, application, problem, serve
from tidemill.api import trusted
from tidemill.outcome import Failed
from tidemill.task import TaskError


async def _fail(here: Site, number: int, fingerprint: str) -> list[str]:
    ids = [(await here.submit("broken"))["task_id"] for _ in range(number)]
    for claim in await here.hand.claim(number):
        error = TaskError("builtins.ValueError", f"of {fingerprint}", "", fingerprint)
        await here.hand.settle(claim, Failed(error))
    return ids


async def test_failed_tasks_are_grouped_and_a_group_runs_again_or_is_dropped(
    site: OpenSite,
) -> None:
    async with site() as here:
        first, second = await _fail(here, 3, "f1"), await _fail(here, 1, "f2")
        found = await here.ask("GET", "/failed-groups", 200)
        assert [(each["fingerprint"], each["count"]) for each in found["groups"]] == [
            ("f1", 3),
            ("f2", 1),
        ]
        assert found["groups"][0]["error_message"] == "of f1"
        nothing = await here.ask("DELETE", "/failed-groups/f2?queue_name=other", 200)
        assert nothing == {"dropped": 0}
        slow = await here.client.post("/api/v1/failed-groups/f1/retry", json={"rate": 0.01})
        assert (slow.status_code, problem(slow).fields) == (422, ("rate",))
        told = await here.ask("POST", "/failed-groups/f1/retry", 200, {"rate": 1000})
        assert told == {"asked": 3, "retried": 3, "refused": {}}
        assert (await here.ask("GET", f"/tasks/{first[0]}", 200))["status"] == "pending"
        assert await here.ask("DELETE", "/failed-groups/f2", 200) == {"dropped": 1}
        await here.ask("GET", f"/tasks/{second[0]}", 404)


async def test_workers_are_listed_while_they_work(site: OpenSite) -> None:
    async with site() as here:
        assert await here.ask("GET", "/workers", 200) == {"workers": []}
        async with here.working():
            await here.ask(
                "POST", "/tasks", 201, {"task_type": "echo"}, headers={"Prefer": "wait=20"}
            )
            [worker] = (await here.ask("GET", "/workers", 200))["workers"]
            assert worker["live"] is True
            assert worker["queue_names"] is None
            assert "echo" in worker["task_types"]


async def test_a_workflow_is_read_with_its_steps_cancelled_and_retried(site: OpenSite) -> None:
    async with site() as here:
        flow = here.app.workflow("publish")
        first = flow.add(here.app.function("echo").call(value=1))
        last = flow.add(here.app.function("echo").call(value=first.result))
        handle = await flow.enqueue()
        path = f"/workflows/{handle.id}"
        told = await here.ask("GET", path, 200)
        assert (told["name"], told["total"], told["progress"]) == ("publish", 2, 0)
        assert told["counts"] == {"pending": 1, "blocked": 1}
        steps = (await here.ask("GET", f"{path}/steps", 200))["steps"]
        assert [(each["task"]["task_id"], each["after"], each["level"]) for each in steps] == [
            (first.id, [], 0),
            (last.id, [first.id], 1),
        ]
        answer = await here.client.post(f"/api/v1{path}/retry")
        assert (answer.status_code, problem(answer).type) == (409, "invalid-transition")
        cancelled = await here.ask("POST", f"{path}/cancel", 202, {"reason": "not now"})
        assert (cancelled["status"], cancelled["counts"]) == ("cancelled", {"cancelled": 2})
        answer = await here.client.post(f"/api/v1{path}/cancel")
        assert (answer.status_code, problem(answer).type) == (409, "invalid-transition")
        again = await here.ask("POST", f"{path}/retry", 200)
        assert again["counts"] == {"pending": 1, "blocked": 1}
        task = await here.submit()
        for name in (task["task_id"], "nobody"):
            for rest in ("", "/steps"):
                await here.ask("GET", f"/workflows/{name}{rest}", 404)


async def test_health_needs_no_engine_and_readiness_does(site: OpenSite) -> None:
    async with site() as here:
        alive = await here.client.get("/healthz")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        ready = await here.client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_an_engine_that_is_away_is_told_without_its_address() -> None:
    async with serve(application("redis://127.0.0.1:1/0"), trusted) as here:
        answers = await asyncio.gather(
            here.client.get("/readyz"),
            here.client.get("/api/v1/tasks"),
            here.client.post("/api/v1/tasks", json={"task_type": "echo"}),
        )
        for answer in answers:
            assert (answer.status_code, problem(answer).type) == (503, "engine-unavailable")
            assert "127.0.0.1" not in answer.text
            assert answer.headers["retry-after"] == "1"
        assert (await here.client.get("/healthz")).status_code == 200
