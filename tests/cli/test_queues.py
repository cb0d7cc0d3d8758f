from datetime import timedelta

from tests.cli.conftest import Shop
from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed


def test_queues_are_listed_with_what_they_hold(shop: Shop) -> None:
    shop.end(shop.new(queue="mail"), outcome=Completed())
    shop.enqueue(shop.new(queue="mail"), shop.new(queue="mail", delay=timedelta(hours=1)))
    shop.on_engine(
        lambda engine: engine.configure([QueueDefinition("slow", 3, timedelta(seconds=90))])
    )
    mail, slow = shop.call("queue", "ls", "-o", "json").json["queues"]
    assert mail["counts"] == {
        "scheduled": 1,
        "blocked": 0,
        "pending": 1,
        "running": 0,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }
    assert mail["oldest_pending_age"] >= 0
    assert mail["oldest_pending_at"].endswith("Z")
    assert (slow["name"], slow["weight"], slow["lease"]) == ("slow", 3, 90.0)
    assert slow["oldest_pending_age"] is None
    heading, first, second = shop.call("queue", "ls").out.splitlines()
    assert heading.split()[:4] == ["QUEUE", "SCHEDULED", "BLOCKED", "PENDING"]
    assert first.split()[:4] == ["mail", "1", "0", "1"]
    assert second.split()[0] == "slow"


def test_a_paused_queue_is_shown_paused_until_it_is_resumed(shop: Shop) -> None:
    shop.enqueue(shop.new(queue="mail"))

    def paused() -> bool:
        (queue,) = shop.call("queue", "ls", "-o", "json").json["queues"]
        return bool(queue["paused"])

    assert shop.call("queue", "pause", "mail", "-o", "json").json == {
        "name": "mail",
        "paused": True,
    }
    assert paused()
    assert shop.call("queue", "resume", "mail").out.split() == ["queue", "mail", "state", "resumed"]
    assert not paused()


def test_purge_counts_first_and_changes_nothing_without_a_yes(shop: Shop) -> None:
    shop.enqueue(*(shop.new(queue="mail") for _ in range(3)), shop.new(queue="other"))
    dry = shop.call("queue", "purge", "mail", "--dry-run", "-o", "json")
    assert dry.json == {"name": "mail", "waiting": 3, "cancelled": 0, "dry_run": True}
    said = shop.program("queue", "purge", "mail", "--engine", shop.url)
    assert said.code == 2
    assert said.err == (
        "3 waiting tasks of the queue mail will be cancelled.\n"
        "error: nobody is there to ask: repeat the command with --yes\n"
    )
    assert len(shop.call("task", "ls", "--state", "pending", "-o", "json").json["tasks"]) == 4


def test_purge_cancels_what_waits_in_its_queue_only(shop: Shop) -> None:
    (done,) = shop.end(shop.new(queue="mail"), outcome=Completed())
    waiting = shop.enqueue(*(shop.new(queue="mail") for _ in range(1_200)))
    later = shop.enqueue(shop.new(queue="mail", delay=timedelta(hours=1)))
    (other,) = shop.enqueue(shop.new(queue="other"))
    said = shop.call("queue", "purge", "mail", "--yes", "-o", "json")
    assert said.json["cancelled"] == len(waiting) + len(later)
    assert said.err.splitlines()[-1] == "cancelling: 1,201 of 1,201"
    assert shop.call("task", "show", done, "-o", "json").json["state"] == "completed"
    assert shop.call("task", "show", other, "-o", "json").json["state"] == "pending"
    record = shop.call("task", "show", later[0], "-o", "json").json
    assert (record["state"], record["reason"]) == ("cancelled", "purged")
