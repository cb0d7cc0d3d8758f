"""Which pending tasks no live worker would take."""

from datetime import UTC, datetime, timedelta

from tidemill.engine import Document, StateCount, Stats
from tidemill.serving import UnknownType, Unserved, UnservedQueue, unserved
from tidemill.task import State
from tidemill.worker_record import WORKER, WorkerRecord, described, encode

NOW = datetime(2026, 2, 21, 10, 37, 20, tzinfo=UTC)


def worker(*task_types: str, queues: tuple[str, ...] | None = None) -> WorkerRecord:
    return WorkerRecord(
        name="w",
        host="h",
        pid=1,
        queues=queues,
        task_types=task_types,
        concurrency=100,
        threads=16,
        children=2,
        started_at=NOW,
        version="1",
    )


def pending(*places: tuple[str, str]) -> Stats:
    counts = tuple(StateCount(queue, each, State.PENDING, 2) for queue, each in places)
    return Stats(NOW, counts, ())


def test_a_worker_without_a_list_serves_every_queue() -> None:
    assert unserved(pending(("mail", "send"), ("new", "send")), [worker("send")]) == Unserved()


def test_a_queue_with_pending_tasks_that_nobody_serves_is_told_with_their_number() -> None:
    stats = pending(("mail", "send"), ("mail", "file"), ("new", "send"))
    live = [worker("send", "file", queues=("new",))]
    assert unserved(stats, live) == Unserved(queues=(UnservedQueue("mail", 4),))


def test_only_pending_tasks_are_asked_for() -> None:
    counts = tuple(
        StateCount("mail", "send", state, 1) for state in State if state is not State.PENDING
    )
    assert unserved(Stats(NOW, counts, ()), []) == Unserved()


def test_a_type_that_no_worker_of_its_queue_knows_is_told() -> None:
    live = [worker("send", queues=("mail",)), worker("file", queues=("files",))]
    found = unserved(pending(("mail", "file"), ("files", "file")), live)
    assert found == Unserved(task_types=(UnknownType("file", "mail", 2),))


def test_without_any_worker_the_queues_are_told_and_not_each_type() -> None:
    found = unserved(pending(("mail", "send"), ("files", "file")), [])
    assert [each.queue for each in found.queues] == ["files", "mail"]
    assert found.task_types == ()


def test_of_a_queue_that_nobody_serves_a_type_is_told_that_nobody_knows_at_all() -> None:
    live = [worker("send", queues=("mail",))]
    found = unserved(pending(("files", "file"), ("files", "send")), live)
    assert found == Unserved((UnservedQueue("files", 4),), (UnknownType("file", "files", 2),))


def test_a_worker_is_live_until_it_was_not_heard_of_for_most_of_its_lease() -> None:
    def heard(seconds_ago: float) -> Document:
        at = NOW - timedelta(seconds=seconds_ago)
        return Document(WORKER, f"{seconds_ago}", 1, encode(worker("send")), at)

    unreadable = Document(WORKER, "x", 1, b'{"name": 5}', NOW)
    found = described([heard(0), heard(22.5), heard(22.501), unreadable], NOW)
    assert [each.live for each in found] == [True, True, False]
    assert found[0].worker == worker("send")
