"""Lists of tasks: filters, pages by number and after a cursor, totals."""

from typing import Any

import pytest

from tests.api.conftest import OpenSite, Site, problem
from tidemill.api import paging
from tidemill.outcome import Failed
from tidemill.task import TaskError


async def _ids(here: Site, **query: Any) -> list[str]:
    page = await here.ask("GET", "/tasks", 200, params=query)
    return [task["task_id"] for task in page["tasks"]]


async def test_a_list_is_filtered_by_each_of_its_filters(site: OpenSite) -> None:
    async with site() as here:
        mine = await here.submit(user_id="u1", project_id="p1", tags=["a", "b"])
        report = await here.submit(
            "report_generation", payload={"report_type": "x"}, queue_name="notification", tags=["a"]
        )
        failed = await here.submit("broken")
        [claim] = [
            each for each in await here.hand.claim(3) if each.ref.task_id == failed["task_id"]
        ]
        error = TaskError("builtins.ValueError", "no paper left", "", "f1")
        await here.hand.settle(claim, Failed(error))
        mine_id, report_id, failed_id = (task["task_id"] for task in (mine, report, failed))
        assert await _ids(here) == [failed_id, report_id, mine_id]
        assert await _ids(here, status="failed") == [failed_id]
        assert await _ids(here, status=["running", "failed"]) == [failed_id, report_id, mine_id]
        assert await _ids(here, queue_name="notification") == [report_id]
        assert await _ids(here, task_type="report_generation") == [report_id]
        assert await _ids(here, user_id="u1") == [mine_id]
        assert await _ids(here, project_id="p1") == [mine_id]
        assert await _ids(here, tag="a") == [report_id, mine_id]
        assert await _ids(here, tag=["a", "b"]) == [mine_id]
        assert await _ids(here, error_fingerprint="f1") == [failed_id]
        assert await _ids(here, error_contains="PAPER") == [failed_id]
        assert await _ids(here, end_time="2026-01-01T00:00:00Z") == []
        assert len(await _ids(here, start_time="2026-01-01T00:00:00+08:00")) == 3


async def test_pages_by_number_tell_the_total(site: OpenSite) -> None:
    async with site() as here:
        ids = [(await here.submit(user_id="u"))["task_id"] for _ in range(5)][::-1]
        for filters in ({}, {"user_id": "u"}):
            found = []
            for number in (1, 2, 3, 4):
                query = {"page": number, "page_size": 2} | filters
                page = await here.ask("GET", "/tasks", 200, params=query)
                assert (page["total"], page["total_capped"]) == (5, False)
                assert (page["page"], page["page_size"]) == (number, 2)
                found += [task["task_id"] for task in page["tasks"]]
            assert found == ids


async def test_a_cursor_goes_through_all_tasks_and_meets_none_twice(site: OpenSite) -> None:
    async with site() as here:
        ids = [(await here.submit())["task_id"] for _ in range(5)][::-1]
        found: list[str] = []
        url: str | None = "/api/v1/tasks?limit=2&status=pending"
        while url is not None:
            answer = await here.client.get(url)
            page = answer.json()
            assert (page["page"], page["total"]) == (None, None)
            found += [task["task_id"] for task in page["tasks"]]
            await here.submit()  # what comes meanwhile does not move the rest
            url = answer.links["next"]["url"] if "next" in answer.links else None
        assert found == ids


async def test_a_total_that_is_counted_is_capped(
    site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_COUNTED", 4)
    async with site() as here:
        for _ in range(6):
            await here.submit(user_id="u")
        counted = await here.ask("GET", "/tasks", 200, params={"user_id": "u", "page_size": 2})
        assert (counted["total"], counted["total_capped"]) == (4, True)
        known = await here.ask("GET", "/tasks", 200, params={"page_size": 2})
        assert (known["total"], known["total_capped"]) == (6, False)
        far = await here.client.get("/api/v1/tasks?page=3&page_size=2")
        assert (far.status_code, problem(far).fields) == (422, ("page",))


async def test_lists_leave_payloads_and_results_out(site: OpenSite) -> None:
    async with site() as here:
        await here.submit()
        [task] = (await here.ask("GET", "/tasks", 200))["tasks"]
        assert not {"payload", "result"} & task.keys()


async def test_a_filter_that_is_misspelt_is_not_taken_for_none(site: OpenSite) -> None:
    async with site() as here:
        for query, field in (
            ("state=failed", "state"),
            ("status=done", "status[0]"),
            ("user_id=a&user_id=b", "user_id"),
            ("page=0", "page"),
            ("page_size=101", "page_size"),
            ("limit=101", "limit"),
            ("page=99999999999999999999999", "page"),
            ("cursor=abc", "cursor"),
            ("cursor=%00%ff", "cursor"),
            ("page=2&cursor=", ""),
        ):
            answer = await here.client.get(f"/api/v1/tasks?{query}")
            assert answer.status_code == 422, query
            assert problem(answer).fields == (field,), query
