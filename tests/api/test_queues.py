"""Queues over HTTP."""

import asyncio

from tests.api.conftest import OpenSite, problem


async def test_a_queue_is_created_read_and_listed(site: OpenSite) -> None:
    async with site() as here:
        body = {"name": "processing", "concurrency": 10}
        queue = await here.ask("POST", "/queues", 201, body)
        assert (queue["name"], queue["concurrency"], queue["paused"]) == ("processing", 10, False)
        answer = await here.client.post("/api/v1/queues", json=body)
        assert (answer.status_code, problem(answer).type) == (409, "conflict")
        assert await here.ask("GET", "/queues/processing", 200) == queue
        listed = await here.ask("GET", "/queues", 200)
        assert [each["name"] for each in listed["queues"]] == ["processing"]


async def test_the_stats_of_a_queue_count_what_waits_and_runs(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/queues", 201, {"name": "processing", "capacity": 100})
        for _ in range(3):
            await here.submit()
        await here.hand.take()
        stats = await here.ask("GET", "/queues/processing/stats", 200)
        assert (stats["pending"], stats["running"], stats["completed"]) == (2, 1, 0)
        assert (stats["queue_size"], stats["queue_capacity"]) == (2, 100)
        assert stats["oldest_age"] >= 0


async def test_a_queue_is_changed_where_it_says_and_stays_elsewhere(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/queues", 201, {"name": "q", "concurrency": 3, "rate": "100/m"})
        changed = await here.ask("PATCH", "/queues/q", 200, {"concurrency": None, "lease": 90})
        assert (changed["concurrency"], changed["rate"], changed["lease"]) == (None, "100/m", 90)
        answer = await here.client.patch("/api/v1/queues/q", json={"rate": "fast"})
        assert (answer.status_code, problem(answer).type) == (422, "config-invalid")
        plain = await here.ask("POST", "/queues/q/reset", 200)
        assert (plain["rate"], plain["changed"]) == (None, [])


async def test_a_change_of_something_else_than_was_read_is_refused(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/queues", 201, {"name": "q"})
        read = (await here.client.get("/api/v1/queues/q")).headers["etag"]
        await here.submit(queue_name="q")  # its counts are not its settings
        mine = {"If-Match": read}
        await here.ask("PATCH", "/queues/q", 200, {"concurrency": 3}, headers=mine)
        for method, rest in (("PATCH", ""), ("POST", "/pause"), ("POST", "/reset")):
            answer = await here.client.request(
                method, f"/api/v1/queues/q{rest}", json={}, headers=mine
            )
            assert (answer.status_code, problem(answer).type) == (412, "precondition-failed")
        await here.ask("POST", "/queues/q/pause", 200, headers={"If-Match": "*"})


async def test_of_many_changes_of_what_was_read_one_is_made(site: OpenSite) -> None:
    async with site() as here:
        await here.ask("POST", "/queues", 201, {"name": "q"})
        mine = {"If-Match": (await here.client.get("/api/v1/queues/q")).headers["etag"]}
        answers = await asyncio.gather(
            *(
                here.client.patch("/api/v1/queues/q", json={"concurrency": each}, headers=mine)
                for each in range(1, 9)
            )
        )
        assert sorted(each.status_code for each in answers) == [200, *[412] * 7]
        [made] = [each.json() for each in answers if each.status_code == 200]
        assert await here.ask("GET", "/queues/q", 200) == made


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(site: OpenSite) -> None:
    async with site() as here:
        await here.submit()
        assert (await here.ask("POST", "/queues/processing/pause", 200))["paused"] is True
        assert await here.hand.claim() == []
        assert (await here.ask("POST", "/queues/processing/resume", 200))["paused"] is False
        await here.hand.take()


async def test_a_purge_counts_first_and_cancels_what_was_there_then(site: OpenSite) -> None:
    async with site() as here:
        for _ in range(3):
            await here.submit()
        path = "/queues/processing/purge"
        dry = await here.ask("POST", path, 200, params={"dry_run": "true"})
        assert (dry["waiting"], dry["cancelled"], dry["dry_run"]) == (3, 0, True)
        late = await here.submit()
        done = await here.ask("POST", path, 200, params={"until": dry["until"]})
        assert done["cancelled"] == 3
        assert (await here.ask("GET", f"/tasks/{late['task_id']}", 200))["status"] == "pending"


async def test_an_unknown_queue_is_not_found(site: OpenSite) -> None:
    async with site() as here:
        for method, rest in (
            ("GET", ""),
            ("GET", "/stats"),
            ("PATCH", ""),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/reset"),
            ("POST", "/purge"),
        ):
            answer = await here.client.request(method, f"/api/v1/queues/nope{rest}")
            assert (answer.status_code, problem(answer).type) == (404, "queue-not-found"), rest
