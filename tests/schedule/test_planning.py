"""Plans: what is fired, what is missed, and what is left for later."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from random import Random

import pytest

from tests.schedule.samples import NOW, TEMPLATE, schedule, timing
from tidemill.cron import CronRule
from tidemill.engine import Firing
from tidemill.ids import fire_id
from tidemill.schedule import (
    FIRINGS_AT_ONCE,
    Cron,
    Every,
    Misfire,
    Once,
    Overlap,
    Plan,
    Schedule,
    decode,
    encode,
    next_instant,
    plan,
    upcoming,
)
from tidemill.task import Limit, UniqueKey

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
EIGHT = datetime(2026, 6, 1, 8, tzinfo=UTC)
MINUTELY = Cron("* * * * *")


def fired(planned: Plan) -> list[datetime]:
    return [each.at for each in planned.firings if each.task]


def missed(planned: Plan) -> int:
    return sum(each.missed for each in planned.firings)


def at(*minutes: int) -> list[datetime]:
    return [EIGHT + each * MINUTE for each in minutes]


# one instant


def test_an_instant_that_is_due_is_fired_and_the_next_is_named() -> None:
    planned = plan(schedule(Cron("0 8 * * *")), 3, None, EIGHT)
    assert [(each.schedule, each.at, each.version) for each in planned.firings[-1:]] == [
        ("nightly", EIGHT, 3)
    ]
    assert planned.next_at == EIGHT + timedelta(days=1)


def test_nothing_is_fired_before_its_instant() -> None:
    planned = plan(schedule(MINUTELY), 1, EIGHT, EIGHT + MINUTE - timedelta(microseconds=1))
    assert planned == Plan((), EIGHT + MINUTE)


def test_a_fired_task_is_the_template_with_its_id_and_its_instant() -> None:
    (firing,) = plan(schedule(MINUTELY), 1, EIGHT - MINUTE, EIGHT).firings
    task = firing.task
    assert task is not None
    assert task.id == fire_id("nightly", EIGHT, task.queue)
    assert task.headers == {
        "trace": "t1",
        "schedule": "nightly",
        "fire_at": "2026-06-01T08:00:00Z",
    }
    same = ("task_type", "payload", "queue", "priority", "unique", "limit", "tags", "expires_at")
    assert {name: getattr(task, name) for name in same} == {
        name: getattr(TEMPLATE, name) for name in same
    }


def test_a_fired_task_expires_some_time_after_its_instant_not_after_its_firing() -> None:
    late = EIGHT + 30 * SECOND
    (firing,) = plan(schedule(MINUTELY, expires=HOUR), 1, EIGHT - MINUTE, late).firings
    assert firing.task is not None
    assert firing.task.expires_at == EIGHT + HOUR


@pytest.mark.parametrize(
    ("overlap", "unique", "limit"),
    [
        (Overlap.ALLOW, None, None),
        (Overlap.SKIP, UniqueKey("schedule:nightly", until="end", on_conflict="keep"), None),
        (Overlap.QUEUE, None, Limit("schedule:nightly", 1)),
    ],
)
def test_an_overlap_policy_is_a_unique_key_or_a_limit_of_the_fired_task(
    overlap: Overlap, unique: UniqueKey | None, limit: Limit | None
) -> None:
    (firing,) = plan(schedule(MINUTELY, overlap=overlap), 1, EIGHT - MINUTE, EIGHT).firings
    assert firing.task is not None
    assert (firing.task.unique, firing.task.limit) == (unique, limit)


def test_once_fires_once_and_never_again() -> None:
    made = schedule(Once(EIGHT))
    assert plan(made, 1, None, EIGHT - SECOND) == Plan((), EIGHT)
    planned = plan(made, 1, None, EIGHT)
    assert (fired(planned), planned.next_at) == ([EIGHT], None)
    assert plan(made, 1, EIGHT, EIGHT + HOUR) == Plan((), None)


# where it begins and ends


def test_nothing_at_since_or_before_it_ever_fires() -> None:
    made = schedule(MINUTELY, since=EIGHT)
    assert fired(plan(made, 1, None, EIGHT)) == []
    assert fired(plan(made, 1, EIGHT - timedelta(days=3), EIGHT + MINUTE)) == at(1)
    assert next_instant(made, EIGHT - HOUR) == EIGHT + MINUTE
    started = schedule(MINUTELY, since=EIGHT, starts_at=EIGHT - HOUR)
    assert next_instant(started, EIGHT - HOUR) == EIGHT + MINUTE


def test_a_mark_later_than_since_is_where_it_goes_on() -> None:
    made = schedule(MINUTELY, since=EIGHT, grace=HOUR)
    assert fired(plan(made, 1, EIGHT + 2 * MINUTE, EIGHT + 4 * MINUTE)) == at(3, 4)


def test_a_start_is_included_and_an_end_is_not() -> None:
    made = schedule(
        MINUTELY, starts_at=EIGHT, ends_at=EIGHT + 3 * MINUTE, misfire=Misfire.ALL, grace=SECOND
    )
    assert upcoming(made, EIGHT - timedelta(days=30), 9) == tuple(at(0, 1, 2))
    planned = plan(made, 1, None, EIGHT + HOUR)
    assert (fired(planned), planned.next_at) == (at(0, 1, 2), None)
    assert missed(planned) == 0


def test_instants_are_late_by_now_also_where_the_schedule_has_ended_since() -> None:
    made = schedule(MINUTELY, ends_at=EIGHT, since=EIGHT - HOUR)
    planned = plan(made, 1, None, EIGHT + HOUR)
    assert (fired(planned), missed(planned)) == ([EIGHT - MINUTE], 58)


def test_a_paused_schedule_has_no_instants() -> None:
    made = schedule(MINUTELY, paused=True)
    assert plan(made, 1, None, NOW) == Plan((), None)
    assert next_instant(made, NOW) is None
    assert upcoming(made, NOW, 5) == ()


def test_upcoming_instants_are_those_that_later_plans_fire() -> None:
    random = Random(8)
    for _ in range(30):
        made = schedule(timing(random), misfire=Misfire.ALL)
        mark: datetime | None = NOW
        for instant in upcoming(made, NOW, 12):
            planned = plan(made, 1, mark, instant)
            assert fired(planned) == [instant]
            mark = instant


# what is late


@pytest.mark.parametrize(
    ("misfire", "expected", "dropped"),
    [
        (Misfire.SKIP, at(29, 30), at(28)),
        (Misfire.ONCE, at(28, 29, 30), at(27)),
        (Misfire.ALL, at(25, 26, 27, 28, 29, 30), at(24)),
    ],
)
def test_late_instants_are_fired_or_dropped_by_policy(
    misfire: Misfire, expected: list[datetime], dropped: list[datetime]
) -> None:
    """The scheduler was away from 8:00 to 8:30; the last two instants are within the grace."""
    made = schedule(MINUTELY, misfire=misfire, misfire_limit=4, grace=MINUTE)
    planned = plan(made, 7, EIGHT, EIGHT + 30 * MINUTE)
    record, *_ = planned.firings
    assert record == Firing("nightly", dropped[0], None, version=7, missed=30 - len(expected))
    assert fired(planned) == expected
    assert planned.next_at == EIGHT + 31 * MINUTE


def test_an_instant_is_late_when_it_is_more_than_the_grace_ago() -> None:
    made = schedule(Cron("0 8 * * *"), misfire=Misfire.SKIP, grace=HOUR)
    mark = EIGHT - HOUR
    assert fired(plan(made, 1, mark, EIGHT + HOUR)) == [EIGHT]
    late = plan(made, 1, mark, EIGHT + HOUR + timedelta(microseconds=1))
    assert late.firings == (Firing("nightly", EIGHT, None, version=1, missed=1),)


def test_one_late_instant_is_fired_without_a_record_of_missed_ones() -> None:
    planned = plan(schedule(Cron("0 8 * * *")), 1, EIGHT - HOUR, EIGHT + 5 * HOUR)
    assert [(each.at, each.missed) for each in planned.firings] == [(EIGHT, 0)]


def test_what_is_due_at_once_is_bounded_and_the_next_plan_goes_on() -> None:
    made = schedule(Every(SECOND), since=EIGHT, grace=HOUR)
    first = plan(made, 1, None, EIGHT + 1_500 * SECOND)
    assert fired(first) == [EIGHT + k * SECOND for k in range(1, FIRINGS_AT_ONCE + 1)]
    assert first.next_at == EIGHT + (FIRINGS_AT_ONCE + 1) * SECOND
    second = plan(made, 1, fired(first)[-1], EIGHT + 1_500 * SECOND)
    assert len(second.firings) == 500
    assert second.next_at == EIGHT + 1_501 * SECOND


@pytest.mark.parametrize(
    ("expression", "instants"),
    [("* * * * *", 365 * 1_440), ("@hourly", 365 * 24), ("* 0-23 1 1 *", 1_440)],
)
def test_a_year_that_was_missed_is_counted_and_its_latest_instants_are_exact(
    expression: str, instants: int
) -> None:
    now = datetime(2027, 6, 1, 8, 30, 30, tzinfo=UTC)
    mark = now - timedelta(days=365)
    made = schedule(Cron(expression), misfire=Misfire.ALL, misfire_limit=50, grace=SECOND)
    planned = plan(made, 1, mark, now)
    assert missed(planned) == instants - 50
    latest = fired(planned)
    assert len(latest) == 50
    record = planned.firings[0]
    assert list(islice(upcoming(made, record.at, 51), 50)) == latest
    assert next_instant(made, latest[-1]) == planned.next_at


def test_a_missed_year_is_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = CronRule.next

    def counted(rule: CronRule, after: datetime) -> datetime | None:
        asked.append(after)
        return original(rule, after)

    monkeypatch.setattr(CronRule, "next", counted)
    plan(schedule(MINUTELY), 1, NOW - timedelta(days=365), NOW)
    assert 0 < len(asked) < 20


# every plan, at random


def some_schedule(random: Random) -> Schedule:
    return schedule(
        timing(random),
        since=NOW - random.choice([timedelta(), HOUR, timedelta(days=40)]),
        misfire=random.choice(list(Misfire)),
        misfire_limit=random.choice([1, 3, 100]),
        grace=random.choice([timedelta(), MINUTE, HOUR]),
        starts_at=random.choice([None, None, NOW + HOUR * random.random()]),
        ends_at=random.choice([None, None, NOW + 20 * HOUR * (1 + random.random())]),
        overlap=random.choice(list(Overlap)),
    )


def all_between(made: Schedule, after: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    instant = next_instant(made, after)
    while instant is not None and instant <= until and len(found) < 20_000:
        found.append(instant)
        instant = next_instant(made, instant)
    return found


def kept_of(made: Schedule, late: list[datetime]) -> list[datetime]:
    match made.misfire:
        case Misfire.SKIP:
            return []
        case Misfire.ONCE:
            return late[-1:]
        case Misfire.ALL:
            return late[-made.misfire_limit :]


@pytest.mark.parametrize("seed", range(60))
def test_successive_plans_decide_every_instant_once_and_in_order(seed: int) -> None:
    random = Random(seed)
    made = some_schedule(random)
    mark: datetime | None = None
    now = made.since
    decided: list[datetime] = []
    for _ in range(25):
        step = random.choice([SECOND, 50 * SECOND, MINUTE, 9 * MINUTE, 3 * HOUR])
        now += step * random.random()
        due = all_between(made, mark or made.since, now)
        late = [each for each in due if now - each > made.grace]
        kept, punctual = kept_of(made, late), due[len(late) :]
        planned = plan(made, 1, mark, now)
        assert missed(planned) == len(late) - len(kept)
        records = len(planned.firings) - len(fired(planned))
        assert records == (len(late) > len(kept))
        assert fired(planned) == [*kept, *punctual][: FIRINGS_AT_ONCE - records]
        decided += [each.at for each in planned.firings]
        mark = planned.firings[-1].at if planned.firings else mark
        assert planned.next_at == next_instant(made, max(mark or now, made.since))
    assert all(before < after for before, after in pairwise(decided))


@pytest.mark.parametrize("seed", range(20))
def test_every_scheduler_makes_the_same_plan(seed: int) -> None:
    """Another process reads the definition from its document."""
    random = Random(1_000 + seed)
    made = some_schedule(random)
    there = decode(encode(made))
    for hours in (0.1, 5, 300):
        now = NOW + timedelta(hours=hours)
        assert plan(there, 4, NOW, now) == plan(made, 4, NOW, now)


def test_a_plan_that_was_accepted_in_part_goes_on_where_it_stopped() -> None:
    made = schedule(MINUTELY, misfire=Misfire.ALL, misfire_limit=10)
    now = EIGHT + HOUR
    whole = plan(made, 1, EIGHT, now)
    for accepted in range(len(whole.firings)):
        mark = whole.firings[accepted].at
        assert plan(made, 1, mark, now).firings == whole.firings[accepted + 1 :]
