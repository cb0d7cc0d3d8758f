from datetime import timedelta

from tests.cli.conftest import APP, Shop
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


def test_a_queue_is_made_changed_and_shown_with_its_limits(shop: Shop) -> None:
    said = shop.call("queue", "create", "mail", "--concurrency", "5", "--rate", "100/m")
    assert said.code == 0
    assert said.out.splitlines()[:3] == [
        "queue        mail",
        "state        open",
        "declared     at run time",
    ]
    again = shop.call("queue", "create", "mail")
    assert (again.code, again.err) == (
        1,
        "error: there is a queue called 'mail' already: change it instead\n",
    )
    words = ["--capacity", "1000", "--concurrency", "none", "--lease", "1m", "--burst", "3"]
    record = shop.call("queue", "set", "mail", *words, "-o", "json").json
    assert record["rate"] == {"count": 100, "per": 60.0, "burst": 3}
    assert (record["capacity"], record["concurrency"], record["lease"]) == (1000, None, 60.0)
    assert record["changed"] == ["lease", "concurrency", "rate", "capacity"]
    assert shop.call("queue", "show", "mail", "-o", "json").json == record
    reset = shop.call("queue", "reset", "mail", "capacity", "-o", "json").json
    assert (reset["capacity"], reset["lease"]) == (None, 60.0)
    assert shop.call("queue", "reset", "mail", "-o", "json").json["changed"] == []


def test_what_an_operator_changed_is_shown_beside_what_the_code_says(shop: Shop) -> None:
    with (shop.folder / "shop.py").open("a") as file:
        file.write('app.queue("sums", concurrency=10, capacity=5, rate="5/s")\n')
    scheduler = shop.start("scheduler", "-A", APP)
    shop.until(["queue", "show", "sums"], lambda said: said.code == 0)
    shop.stop(scheduler)
    assert shop.call("queue", "set", "sums", "--concurrency", "1,000").code == 2
    shop.call("queue", "set", "sums", "--concurrency", "2")
    shop.enqueue(shop.new(queue="sums"), shop.new(queue="sums"))
    page = shop.call("queue", "show", "sums").out
    assert "declared     in code, changed: concurrency\n" in page
    assert "concurrency  2 (changed; the code says 10)\n" in page
    assert "rate         5/s, bursts of 2\n" in page
    assert "waiting      2/5\n" in page
    assert "running      0/2\n" in page
    for command in ("ls", "stats"):
        row = shop.call("queue", command).out.splitlines()[1]
        assert {"sums", "0/2", "2/5", "5/s"} <= set(row.split())
    (record,) = shop.call("queue", "ls", "-o", "json").json["queues"]
    assert record["declared"]["concurrency"] == 10
    (record,) = shop.call("queue", "stats", "-o", "json").json["queues"]
    assert (record["concurrency"], record["capacity"]) == (2, 5)
    assert record["rate"] == {"count": 5, "per": 1.0, "burst": 2}


def test_mistakes_about_queues_are_told_in_one_line(shop: Shop) -> None:
    shop.call("queue", "create", "mail")
    for words, code, text in (
        (["set", "mail"], 2, "say what to change: see tidemill queue set --help"),
        (["set", "nope", "--weight", "2"], 3, "there is no queue called 'nope'"),
        (["show", "nope"], 3, "there is no queue called 'nope'"),
        (["set", "mail", "--capacity", "few"], 2, "--capacity few: give a whole number, or none"),
        (["set", "mail", "--rate", "fast"], 2, "queue mail: 'fast' is not a rate: write it as"),
        (["set", "mail", "--weight", "200"], 2, "queue mail: weight is a whole number from 1 to"),
        (["reset", "mail", "speed"], 2, "queue mail: there is no setting called 'speed'"),
    ):
        said = shop.call("queue", *words)
        assert said.code == code, words
        assert said.err.startswith(f"error: {text}")
        assert len(said.err.splitlines()) == 1


def test_a_full_queue_refuses_a_task_in_one_line_and_ends_with_1(shop: Shop) -> None:
    shop.call("queue", "create", "sums", "--capacity", "1")
    words = ["enqueue", "add", "-A", APP, "-p", '{"a": 1}']
    assert shop.program(*words).code == 0
    said = shop.program(*words)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error: the queue sums is full: 1 of at most 1 tasks wait there, and 1 more do not fit: "
        "try again when some have started, or raise its capacity\n"
    )
