"""A batch is enqueued in waves: what is upstream in another queue is there first."""

from tidemill.engines.redis.waves import Asking, waves


def test_tasks_that_come_after_nothing_are_one_wave() -> None:
    assert waves([Asking("a", "q"), Asking("b", "p")]) == [[0, 1]]
    assert waves([]) == [[]]


def test_a_task_follows_those_of_other_queues() -> None:
    batch = [Asking("c", "p", ("b",)), Asking("b", "q", ("a", "unknown")), Asking("a", "p")]
    assert waves(batch) == [[2], [1], [0]]


def test_tasks_of_one_queue_stay_together_in_their_order() -> None:
    batch = [Asking("a", "q"), Asking("b", "q", ("a",)), Asking("c", "q", ("b",))]
    assert waves(batch) == [[0, 1, 2]]


def test_tasks_in_a_circle_are_all_there() -> None:
    batch = [Asking("a", "q", ("b",)), Asking("b", "p", ("a",)), Asking("c", "p", ("a",))]
    assert sorted(place for wave in waves(batch) for place in wave) == [0, 1, 2]


def test_a_chain_may_be_long() -> None:
    batch = [Asking(f"{n}", "pq"[n % 2], (f"{n - 1}",)) for n in range(10_000)]
    assert waves(batch) == [[n] for n in range(10_000)]
