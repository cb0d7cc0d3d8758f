"""The rule of automatic concurrency on computed plants, by a virtual clock."""

from dataclasses import replace

import pytest

from tests.worker.plants import CALM, Given, Plant, best, driven, fails, hashes, waits
from tidemill.worker.adaptive.brakes import brake
from tidemill.worker.adaptive.measures import Bounds, Health, Level, Tally
from tidemill.worker.adaptive.rule import begun, decide
from tidemill.worker.adaptive.shares import Ask, divided

PLANTS = {
    "waits for 3": waits(3, 0.3),
    "waits for 50": waits(50, 0.05),
    "waits for 400": waits(400, 0.1),
    "hashes of 5 ms": hashes(0.005),
    "hashes of 2 ms": hashes(0.002),
    "fails beyond 8": fails(8),
    "fails beyond 32": fails(32),
    "fails beyond 200": fails(200),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_nine_tenths_of_the_best_fixed_goodput_are_reached(
    plant: Plant, noise: float, seed: int
) -> None:
    trace = driven(plant, noise=noise, seed=seed)
    assert trace.rate() >= 0.9 * best(plant)


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_it_comes_to_rest_instead_of_swinging(plant: Plant) -> None:
    trace = driven(plant, noise=0.01)
    late = trace.slots[120:]
    # A try and the way back in every 16 looks, which last a second at least.
    assert trace.changes(since=60) <= 24
    assert max(late) <= 1.5 * min(late) + 2


def test_most_of_the_goodput_of_tasks_that_take_no_time_is_reached() -> None:
    """What they cost is the claim, which is the cheaper, the more slots it serves at once."""

    def noop(slots: int, _: float) -> Given:
        return Given(1 / (0.00004 + 0.0012 / max(1, slots // 2)), 0, 0.0005)

    assert driven(noop).rate() >= 0.8 * best(noop)


def test_it_climbs_from_10_to_hundreds_within_ten_seconds() -> None:
    trace = driven(waits(400, 0.1), seconds=10)
    assert max(trace.slots) >= 320


def test_a_late_loop_has_few_slots_within_seconds() -> None:
    trace = driven(hashes(0.02), seconds=60)
    assert max(trace.slots[10:]) * 0.02 / 2 <= 0.1
    assert "ms late" in trace.reasons[0]


def test_a_loop_that_others_make_late_keeps_its_slots() -> None:
    crowd = Health(lag=0.3, own=0.1, machine=1.0)
    assert brake(Tally(1, 100), None, 0.0, crowd) == ""
    assert brake(Tally(1, 100), None, 0.0, replace(crowd, own=0.9)) != ""


def test_memory_near_its_limit_takes_slots_away() -> None:
    full = Health(memory=0.95)
    trace = driven(lambda _, __: Given(100, 0, 0.01, full), seconds=20)
    assert trace.slots[-1] == 1


def test_an_empty_queue_changes_nothing() -> None:
    trace = driven(lambda _, __: Given(0, 0, 0, wanted=False))
    assert set(trace.slots) == {10}
    trickle = driven(lambda _, __: Given(3, 0, 0.05, wanted=False))
    assert set(trickle.slots) == {10}


def test_bursts_are_learnt_from_and_pauses_forget_nothing() -> None:
    service = waits(80, 0.05)

    def bursts(slots: int, at: float) -> Given:
        if at % 20 < 10:
            return service(slots, at)
        return Given(0, 0, 0, wanted=False)

    trace = driven(bursts)
    busy = [done for at, done in enumerate(trace.completed) if (at / 2) % 20 < 10 and at > 120]
    assert sorted(busy)[len(busy) // 2] * 2 >= 0.9 * 1_600
    pauses = [slots for at, slots in enumerate(trace.slots) if (at / 2) % 20 > 11 and at > 120]
    assert min(pauses) >= 60


def test_a_service_that_loses_half_its_capacity_is_followed_down_and_up_again() -> None:
    whole, half = fails(60), fails(30)

    def changing(slots: int, at: float) -> Given:
        return (half if 100 <= at < 300 else whole)(slots, at)

    trace = driven(changing, seconds=500)
    assert 0.7 * 30 <= trace.slots[590] <= 1.3 * 30
    assert trace.slots[990] >= 0.7 * 60


def test_failures_that_have_nothing_to_do_with_concurrency_do_not_hold_it_down_for_ever() -> None:
    def spoiled(slots: int, at: float) -> Given:
        given = waits(50, 0.05)(slots, at)
        return Given(given.rate, 0.3, given.latency)

    trace = driven(spoiled, seconds=300)
    assert trace.rate(since=200) >= 0.8 * 0.7 * 1_000


def test_tasks_that_take_much_longer_while_fewer_complete_take_slots_away() -> None:
    usual = Level(goodput=100, latency=0.1)
    assert "take 0.5 s" in brake(Tally(1, 30, 0, 15), usual, 0.0, CALM)
    assert brake(Tally(1, 95, 0, 47), usual, 0.0, CALM) == ""  # longer, and none fewer


def test_the_slots_stay_within_their_bounds() -> None:
    course, bounds = begun(10), Bounds(4, 25)
    seen = set()
    for moment in range(400):
        rate = 10 * course.slots if moment < 200 else 1
        now = Tally(0.5, rate, 0 if moment < 200 else rate, rate * 0.05)
        course, _ = decide(course, now, CALM, bounds, wanted=True)
        seen.add(course.slots)
    assert (min(seen), max(seen)) == (4, 25)


def test_queues_with_equal_room_are_asked_as_one() -> None:
    assert divided(None, ("a", "b"), {"a": 9, "b": 9}, 5) == (Ask(None, 5),)
    assert divided(("a", "b"), ("a", "b"), {"a": 9, "b": 8}, 20) == (Ask(("a", "b"), 8),)
    assert divided(None, (), {}, 5) == (Ask(None, 5),)


def test_no_queue_is_asked_for_more_than_its_room() -> None:
    rooms = {"a": 0, "b": 1, "c": 40, "d": 33, "e": -4}
    asks = divided(None, rooms, rooms, 50)
    assert asks == (Ask(("c", "d"), 33), Ask(("b",), 1))
    assert divided(None, ("a",), {"a": 0}, 5) == ()
