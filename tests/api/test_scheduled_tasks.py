"""Scheduled tasks over HTTP: the eight routes of seeds/004 and two more."""

from tests.api.conftest import OpenSite, problem

HOURLY = {
    "name": "hourly_report",
    "task_type": "report_generation",
    "cron_expr": "0 * * * *",
    "queue_name": "processing",
    "payload": {"report_type": "hourly"},
}
PATH = "/scheduled-tasks/hourly_report"


async def test_a_scheduled_task_is_created_read_and_listed(site: OpenSite) -> None:
    async with site() as here:
        made = await here.ask("POST", "/scheduled-tasks", 201, HOURLY)
        assert {name: made[name] for name in HOURLY} == HOURLY
        assert (made["is_active"], made["run_count"], made["timezone"]) == (True, 0, "UTC")
        assert made["next_run_at"].endswith(":00:00Z")
        assert await here.ask("GET", PATH, 200) == made
        listed = await here.ask("GET", "/scheduled-tasks", 200)
        assert [each["name"] for each in listed["scheduled_tasks"]] == ["hourly_report"]
        answer = await here.client.post("/api/v1/scheduled-tasks", json=HOURLY)
        assert (answer.status_code, problem(answer).type) == (409, "schedule-exists")


async def test_a_change_says_what_is_different_and_the_rest_stays(site: OpenSite) -> None:
    async with site() as here:
        made = await here.ask("POST", "/scheduled-tasks", 201, HOURLY)
        changed = await here.ask("PUT", PATH, 200, {"cron_expr": "*/30 * * * *"})
        assert changed["cron_expr"] == "*/30 * * * *"
        assert changed["payload"] == made["payload"]
        more = {"every": 90, "max_retries": 0, "grace": 5, "overlap": "skip", "tags": ["a"]}
        changed = await here.ask("PUT", PATH, 200, more)
        assert (changed["cron_expr"], changed["every"], changed["grace"]) == (None, 90, 5)
        assert (changed["max_retries"], changed["overlap"]) == (0, "skip")


async def test_a_scheduled_task_pauses_resumes_runs_now_and_is_deleted(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/scheduled-tasks", 201, HOURLY)
        paused = await here.ask("POST", f"{PATH}/pause", 200)
        assert (paused["is_active"], paused["next_run_at"]) == (False, None)
        counted = await here.ask("GET", "/scheduler/statistics", 200)
        assert (counted["active_jobs"], counted["paused"]) == (0, 1)
        task = await here.ask("POST", f"{PATH}/run", 201)
        assert (task["task_type"], task["payload"]) == ("report_generation", HOURLY["payload"])
        assert (await here.ask("POST", f"{PATH}/resume", 200))["is_active"] is True
        [fire] = await here.ask("GET", f"{PATH}/history", 200)
        assert (fire["task_id"], fire["by_hand"], fire["status"]) == (
            task["task_id"],
            True,
            "fired",
        )
        assert (await here.ask("GET", PATH, 200))["run_count"] == 1
        await here.ask("DELETE", PATH, 204)
        await here.ask("GET", PATH, 404)
        await here.ask("GET", f"/tasks/{task['task_id']}", 200)


async def test_a_change_of_something_else_than_was_read_is_refused(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/scheduled-tasks", 201, HOURLY)
        mine = {"If-Match": (await here.client.get(f"/api/v1{PATH}")).headers["etag"]}
        await here.ask("POST", f"{PATH}/run", 201)  # that it ran is not its definition
        await here.ask("PUT", PATH, 200, {"cron_expr": "5 * * * *"}, headers=mine)
        for method, rest in (("PUT", ""), ("POST", "/pause"), ("POST", "/resume"), ("DELETE", "")):
            answer = await here.client.request(
                method, f"/api/v1{PATH}{rest}", json={}, headers=mine
            )
            assert (answer.status_code, problem(answer).type) == (412, "precondition-failed")


async def test_a_schedule_that_cannot_be_names_the_field(site: OpenSite) -> None:
    async with site() as here:
        for change, field in (
            ({"cron_expr": "61 * * * *"}, "cron_expr"),
            ({"cron_expr": "* * *"}, "cron_expr"),
            ({"cron_expr": "0 0 30 2 *"}, "cron_expr"),
            ({"timezone": "Europe/Nowhere"}, "timezone"),
            ({"every": 5}, "cron_expr"),
            ({"task_type": "nope"}, "task_type"),
            ({"payload": {}}, "payload.report_type"),
            ({"misfire": "twice"}, "misfire"),
            ({"name": "no spaces"}, "name"),
            ({"ends_at": "2020-01-01T00:00:00Z", "starts_at": "2021-01-01T00:00:00Z"}, "ends_at"),
        ):
            answer = await here.client.post("/api/v1/scheduled-tasks", json=HOURLY | change)
            assert answer.status_code == 422, answer.text
            assert problem(answer).fields == (field,), change
        assert (await here.ask("GET", "/scheduled-tasks", 200))["scheduled_tasks"] == []


async def test_an_unknown_scheduled_task_is_not_found(site: OpenSite) -> None:
    async with site() as here:
        for method, rest in (
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/run"),
            ("GET", "/history"),
        ):
            body = {"cron_expr": "* * * * *"} if method == "PUT" else None
            answer = await here.client.request(
                method, f"/api/v1/scheduled-tasks/x{rest}", json=body
            )
            assert (answer.status_code, problem(answer).type) == (404, "schedule-not-found")
