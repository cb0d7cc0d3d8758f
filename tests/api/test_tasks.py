"""Tasks over HTTP, as seeds/004 writes them, against a real server."""

import asyncio
import uuid
from typing import Any

from tests.api.conftest import OpenSite, problem
from tidemill.outcome import Failed
from tidemill.task import Progress, TaskError

FORM: dict[str, Any] = {
    "task_type": "content_generation",
    "queue_name": "processing",
    "priority": 10,
    "payload": {"topic": "AI技术发展趋势"},
    "max_retries": 3,
    "timeout": 300,
}


async def test_a_submit_answers_the_task_in_the_words_of_the_interface(site: OpenSite) -> None:
    async with site() as here:
        answer = await here.client.post("/api/v1/tasks", json=FORM | {"user_id": "user-123"})
        assert answer.status_code == 201
        task = answer.json()
        assert answer.headers["location"] == f"/api/v1/tasks/{task['task_id']}"
        said = {name: task[name] for name in FORM}
        assert said == FORM
        assert (task["status"], task["progress"], task["retry_count"]) == ("pending", 0, 0)
        assert (task["user_id"], task["result"], task["error_message"]) == ("user-123", None, None)
        assert await here.ask("GET", f"/tasks/{task['task_id']}", 200) == task


async def test_a_task_runs_and_its_result_progress_and_runs_can_be_read(site: OpenSite) -> None:
    async with site() as here, here.working():
        task = await here.ask(
            "POST", "/tasks", 201, {"task_type": "steps"}, headers={"Prefer": "wait=20"}
        )
        path = f"/tasks/{task['task_id']}"
        assert (task["status"], task["progress"], task["result"]) == ("completed", 100, 4)
        result = await here.ask("GET", f"{path}/result", 200)
        assert (result["status"], result["result"], result["error"]) == ("completed", 4, None)
        progress = await here.ask("GET", f"{path}/progress", 200)
        assert (progress["progress"], progress["step"]) == (100, "下载")
        assert (progress["completed_steps"], progress["total_steps"]) == (4, 4)
        [run] = await here.ask("GET", f"{path}/executions", 200)
        assert (run["attempt"], run["status"], run["error"]) == (1, "completed", None)
        assert run["duration_ms"] >= 0


async def test_a_failed_task_has_a_result_with_its_error(site: OpenSite) -> None:
    async with site() as here, here.working():
        task = await here.submit("broken", payload={"why": "no paper"})
        answer = await here.client.get(
            f"/api/v1/tasks/{task['task_id']}/result", headers={"Prefer": "wait=20"}
        )
        assert answer.headers["preference-applied"] == "wait=20"
        result = answer.json()
        assert (result["status"], result["result"]) == ("failed", None)
        assert result["error"]["type"] == "builtins.ValueError"
        assert result["error"]["message"] == "no paper"
        again = await here.ask("GET", f"/tasks/{task['task_id']}", 200)
        assert again["error_message"] == "no paper"


async def test_a_result_that_is_not_there_yet_is_a_conflict(site: OpenSite) -> None:
    async with site() as here:
        task = await here.submit()
        answer = await here.client.get(f"/api/v1/tasks/{task['task_id']}/result")
        assert (answer.status_code, problem(answer).type) == (409, "task-not-finished")


REFUSED: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"task_type": "nope"}, "unknown-task-type", ("task_type",)),
    ({"task_type": "content_generation"}, "payload-invalid", ("payload.topic",)),
    (
        {"task_type": "content_generation", "payload": {"topic": 3}},
        "payload-invalid",
        ("payload.topic",),
    ),
    (
        {"task_type": "content_generation", "payload": {"topic": "x", "self": 1}},
        "payload-invalid",
        ("payload.self",),
    ),
    ({"payload": {}}, "request-invalid", ("task_type",)),
    (FORM | {"priority": 11}, "request-invalid", ("priority",)),
    (FORM | {"priority": "5"}, "request-invalid", ("priority",)),
    (FORM | {"max_retries": -1}, "request-invalid", ("max_retries",)),
    (FORM | {"timeout": 1e300}, "request-invalid", ("timeout",)),
    (FORM | {"queue_name": "no spaces"}, "request-invalid", ("queue_name",)),
    (FORM | {"queue": "processing"}, "request-invalid", ("queue",)),
    (FORM | {"id": "seven"}, "request-invalid", ("id",)),
    (FORM | {"run_at": "0001-01-01T00:00:00+14:00"}, "request-invalid", ("",)),
    (FORM | {"run_at": "2026-01-01T00:00:00"}, "request-invalid", ("run_at",)),
    (FORM | {"delay": 5, "run_at": "2026-01-01T00:00:00Z"}, "config-invalid", ()),
    (FORM | {"tags": ["a\u0000b"]}, "request-invalid", ("tags[0]",)),
    (FORM | {"tags": ["x"] * 51}, "request-invalid", ("tags",)),
]


async def test_a_submit_that_cannot_be_names_the_field(site: OpenSite) -> None:
    async with site() as here:
        for body, slug, fields in REFUSED:
            answer = await here.client.post("/api/v1/tasks", json=body)
            assert answer.status_code == 422, answer.text
            told = problem(answer)
            assert (told.type, told.fields) == (slug, fields)
        assert (await here.ask("GET", "/tasks", 200))["tasks"] == []


async def test_an_id_of_the_client_makes_a_repeated_submit_the_same_task(site: OpenSite) -> None:
    async with site() as here:
        chosen = str(uuid.uuid4())
        first = await here.submit(id=chosen)
        again = await here.submit(id=chosen)
        assert first == again
        assert first["task_id"] == chosen
        assert (await here.ask("GET", "/tasks", 200))["total"] == 1


async def test_a_held_unique_key_answers_the_task_that_holds_it(site: OpenSite) -> None:
    async with site() as here:
        first = await here.submit("alone", payload={"name": "a"})
        body = {"task_type": "alone", "payload": {"name": "a"}}
        assert (await here.ask("POST", "/tasks", 200, body))["task_id"] == first["task_id"]
        keyed = await here.submit(unique_key="{order} 7")
        body = FORM | {"unique_key": "{order} 7"}
        assert (await here.ask("POST", "/tasks", 200, body))["task_id"] == keyed["task_id"]


async def test_submits_at_the_same_time_are_each_answered_with_their_own_task(
    site: OpenSite,
) -> None:
    async with site() as here:
        bodies = [
            FORM | {"payload": {"topic": str(number) if number % 5 else number}}
            for number in range(60)
        ]
        answers = await asyncio.gather(
            *(here.client.post("/api/v1/tasks", json=body) for body in bodies)
        )
        for number, answer in enumerate(answers):
            if number % 5:
                assert answer.json()["payload"] == {"topic": str(number)}
            else:
                assert answer.status_code == 422
        assert len({answer.json().get("task_id") for answer in answers if answer.is_success}) == 48


async def test_a_full_queue_refuses_its_tasks_and_no_others(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/queues", 201, {"name": "small", "capacity": 2})
        answers = await asyncio.gather(
            *(
                here.client.post("/api/v1/tasks", json=FORM | {"queue_name": queue})
                for queue in ["small", "processing"] * 8
            )
        )
        small, others = answers[::2], answers[1::2]
        assert [answer.status_code for answer in others] == [201] * 8
        assert sorted(answer.status_code for answer in small) == [201] * 2 + [429] * 6
        refused = next(answer for answer in small if answer.status_code == 429)
        assert problem(refused).type == "queue-full"
        assert refused.headers["retry-after"] == "1"


async def test_a_waiting_task_is_cancelled_a_running_one_asked_to_stop_a_final_one_is_neither(
    site: OpenSite,
) -> None:
    async with site() as here:
        waiting, running = (
            await here.submit(),
            await here.submit("report_generation", payload={"report_type": "daily"}),
        )
        cancelled = await here.ask("DELETE", f"/tasks/{waiting['task_id']}", 200)
        assert cancelled["status"] == "cancelled"
        claim = await here.hand.take()
        assert claim.ref.task_id == running["task_id"]
        asked = await here.ask(
            "POST", f"/tasks/{running['task_id']}/cancel", 202, {"reason": "not needed"}
        )
        assert (asked["status"], asked["cancel_requested"]) == ("running", True)
        answer = await here.client.delete(f"/api/v1/tasks/{waiting['task_id']}")
        assert (answer.status_code, problem(answer).type) == (409, "invalid-transition")
        result = await here.ask("GET", f"/tasks/{waiting['task_id']}/result", 200)
        assert (result["status"], result["result"]) == ("cancelled", None)


async def test_a_failed_task_runs_again_or_anew_with_another_payload(site: OpenSite) -> None:
    async with site() as here:
        task = await here.submit("broken")
        path = f"/tasks/{task['task_id']}/retry"
        answer = await here.client.post(f"/api/v1{path}")
        assert (answer.status_code, problem(answer).type) == (409, "invalid-transition")
        claim = await here.hand.take()
        await here.hand.settle(claim, Failed(TaskError("builtins.ValueError", "no")))
        anew = await here.ask("POST", path, 201, {"payload": {"why": "other"}})
        assert (anew["retried_from"], anew["payload"]) == (task["task_id"], {"why": "other"})
        answer = await here.client.post(f"/api/v1{path}", json={"payload": {"self": 1}})
        assert problem(answer).fields == ("payload.self",)
        again = await here.ask("POST", path, 200)
        assert (again["task_id"], again["status"]) == (task["task_id"], "pending")


async def test_progress_is_read_while_a_task_runs(site: OpenSite) -> None:
    async with site() as here:
        task = await here.submit()
        claim = await here.hand.take()
        await here.hand.report(claim, Progress(50, "正在生成内容...", "内容生成", 2, 5))
        progress = await here.ask("GET", f"/tasks/{task['task_id']}/progress", 200)
        assert progress == {
            "task_id": task["task_id"],
            "status": "running",
            "progress": 50,
            "message": "正在生成内容...",
            "step": "内容生成",
            "completed_steps": 2,
            "total_steps": 5,
        }


async def test_what_is_not_there_is_not_found(site: OpenSite) -> None:
    async with site() as here:
        for name in (str(uuid.uuid4()), "nobody", "%00", "..%2f", "%F0%9F%8C%8A"):
            for rest in ("", "/progress", "/result", "/executions", "/logs"):
                answer = await here.client.get(f"/api/v1/tasks/{name}{rest}")
                assert answer.status_code == 404
                assert problem(answer).type in {"task-not-found", "route-not-found"}


async def test_integers_that_a_browser_would_round_can_be_texts(site: OpenSite) -> None:
    async with site() as here, here.working():
        big = {"a": [2**53 + 1, 7, -(2**60)], "b": True}
        task = await here.ask(
            "POST",
            "/tasks",
            201,
            {"task_type": "echo", "payload": {"value": big}},
            headers={"Prefer": "wait=20"},
        )
        assert task["result"] == big
        path = f"/tasks/{task['task_id']}/result?big_integers=string"
        assert (await here.ask("GET", path, 200))["result"] == {
            "a": [str(2**53 + 1), 7, str(-(2**60))],
            "b": True,
        }


async def test_an_unchanged_answer_is_not_sent_again(site: OpenSite) -> None:
    async with site() as here:
        task = await here.submit()
        path = f"/api/v1/tasks/{task['task_id']}"
        tag = (await here.client.get(path)).headers["etag"]
        same = await here.client.get(path, headers={"If-None-Match": f'"x", {tag}'})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        await here.client.delete(path)
        changed = await here.client.get(path, headers={"If-None-Match": tag})
        assert (changed.status_code, changed.json()["status"]) == (200, "cancelled")


async def test_waiting_for_a_task_ends_with_the_time_preferred(site: OpenSite) -> None:
    async with site() as here:
        task = await here.submit()
        answer = await here.client.get(
            f"/api/v1/tasks/{task['task_id']}", headers={"Prefer": "wait=0"}
        )
        assert (answer.status_code, answer.json()["status"]) == (200, "pending")
        assert answer.headers["preference-applied"] == "wait=0"


async def test_statistics_count_what_ended_and_are_no_task(site: OpenSite) -> None:
    async with site() as here, here.working():
        for _ in range(3):
            await here.ask("POST", "/tasks", 201, FORM, headers={"Prefer": "wait=20"})
        range_ = {"start_time": "2026-02-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"}
        told = await here.ask("GET", "/tasks/statistics", 200, params=range_)
        assert (told["total"], told["completed"], told["success_rate"]) == (3, 3, 100)
        assert told["avg_duration_ms"] >= 0
        over_time = await here.ask("GET", "/tasks/statistics/over-time", 200, params={"points": 30})
        assert sum(each["statistics"]["total"] for each in over_time["points"]) == 3
        assert over_time["resolution"] == "hour"
        answer = await here.client.get("/api/v1/tasks/statistics?start_time=yesterday")
        assert (answer.status_code, problem(answer).fields) == (422, ("start_time",))
