"""`tidemill inspect …` on an installation with a worker that holds tasks."""

import asyncio
from datetime import timedelta

from tests.cli.conftest import APP, Shop
from tests.cli.test_status import row, tell
from tidemill.engine import ClaimRequest
from tidemill.engines import open_engine


def claim(shop: Shop, worker: str) -> None:
    """A worker claims all that is due."""

    async def run() -> None:
        engine = open_engine(shop.url)
        request = ClaimRequest(
            claim_id=shop.ids.make(),
            worker=worker,
            queues=None,
            task_types=frozenset({"add"}),
            limit=10,
        )
        assert await engine.claim(request)
        await engine.close()

    asyncio.run(run())


def test_active_lists_what_runs_and_who_runs_it(shop: Shop) -> None:
    first, second = shop.new(task_type="add", queue="sums"), shop.new(task_type="add")
    shop.enqueue(first, second)
    claim(shop, "w1")
    record = shop.call("inspect", "active", "-o", "json").json
    assert {each["id"] for each in record["active"]} == {first.id, second.id}
    assert {each["worker"] for each in record["active"]} == {"w1"}
    assert all(each["age"] >= 0 for each in record["active"])
    page = shop.call("inspect", "active", "-Q", "sums").out
    assert row(page, first.id)[1:4] == ["add", "sums", "1"]
    assert row(page, first.id)[-1] == "w1"
    assert second.id not in page
    assert shop.call("inspect", "reserved", "-o", "json").json["reserved"] == []


def test_scheduled_lists_the_next_task_first(shop: Shop) -> None:
    late = shop.new(delay=timedelta(hours=3))
    soon = shop.new(delay=timedelta(minutes=30))
    shop.enqueue(late, soon, shop.new())
    record = shop.call("inspect", "scheduled", "-o", "json").json
    assert [each["id"] for each in record["scheduled"]] == [soon.id, late.id]
    assert 1700 < record["scheduled"][0]["due_in"] <= 1800
    page = shop.call("inspect", "scheduled").out
    assert row(page, late.id)[-1] == "3 h"
    assert row(page, soon.id)[-1] == "30 min"


def test_stats_counts_tasks_and_workers(shop: Shop) -> None:
    shop.enqueue(shop.new(), shop.new(queue="mail"))
    tell(shop, "w1", "add", queues=("mail",))
    record = shop.call("inspect", "stats", "-o", "json").json
    assert record["counts"]["pending"] == 2
    assert (record["workers"], record["running"], record["used"], record["slots"]) == (1, 3, 3, 118)
    assert [each["name"] for each in record["queues"]] == ["default", "mail"]
    of_mail = shop.call("inspect", "stats", "-Q", "mail", "-o", "json").json
    assert (of_mail["counts"]["pending"], of_mail["workers"]) == (1, 1)
    assert shop.call("inspect", "stats", "-Q", "default", "-o", "json").json["workers"] == 0
    assert shop.call("inspect", "stats", "-Q", "nowhere").code == 3
    page = shop.call("inspect", "stats").out
    assert row(page, "slots") == ["slots", "3/118"]
    assert row(page, "memory") == ["memory", "64 MiB"]


def test_workers_are_listed_those_of_a_queue_too(shop: Shop) -> None:
    tell(shop, "w1", "add", queues=("mail",))
    tell(shop, "w2", "add")
    record = shop.call("inspect", "workers", "-o", "json").json
    assert [each["name"] for each in record["workers"]] == ["w1", "w2"]
    assert [each["live"] for each in record["workers"]] == [True, True]
    found = shop.call("inspect", "workers", "-Q", "sums", "-o", "json").json
    assert [each["name"] for each in found["workers"]] == ["w2"]
    assert row(shop.call("inspect", "workers").out, "w1")[1:4] == ["mill", "4711", "running"]


def test_registered_lists_options_and_who_knows_a_type(shop: Shop) -> None:
    tell(shop, "w1", "add", "strange")
    said = shop.program("inspect", "registered", "-A", APP, "-o", "json")
    types = {each["name"]: each for each in said.json["registered"]}
    assert (types["add"]["queue"], types["add"]["workers"]) == ("sums", ["w1"])
    assert (types["boom"]["max_attempts"], types["boom"]["workers"]) == (1, [])
    assert (types["strange"]["queue"], types["strange"]["workers"]) == (None, ["w1"])
    only = shop.program("inspect", "registered", "-A", APP, "-Q", "sums", "-o", "jsonl")
    assert '"name":"add"' in only.out
    assert only.out.count("\n") == 1
    known = shop.call("inspect", "registered", "-o", "json").json["registered"]
    assert [each["name"] for each in known] == ["add", "strange"]
