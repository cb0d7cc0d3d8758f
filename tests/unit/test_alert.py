"""When an operator is told: rules and readings without an engine."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tidemill.alert import (
    RULES,
    AlertLevel,
    AlertRule,
    AlertSettings,
    Failing,
    Reading,
    Rule,
    Standing,
    changed,
    failures_told,
    judged,
)
from tidemill.errors import ConfigError

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
AT_ONCE = Rule(name="queue_pending", warning=10, alarm=20, window=timedelta())
HELD = Rule(name="queue_pending", warning=10, alarm=20, window=MINUTE)


def told(rule: Rule, values: list[float]) -> list[tuple[int, AlertLevel]]:
    """Which readings, one each 10 s, told which level."""
    standing: Standing | None = None
    found = []
    for number, value in enumerate(values):
        reading = Reading(rule.name, "mail", value)
        standing, notice = judged(rule, standing, reading, START + number * 10 * SECOND)
        if notice is not None:
            found.append((number, notice.level))
    return found


def test_a_crossing_is_told_once_and_its_end_once() -> None:
    assert told(AT_ONCE, [5, 11, 12, 13, 9, 8]) == [(1, AlertLevel.WARNING), (4, AlertLevel.FINE)]


def test_a_threshold_itself_is_fine() -> None:
    assert told(AT_ONCE, [10, 10.1, 20, 20.1]) == [(1, AlertLevel.WARNING), (3, AlertLevel.ALARM)]


def test_what_gets_worse_is_told_again_and_what_gets_better_only_when_it_is_over() -> None:
    assert told(AT_ONCE, [11, 21, 11, 21, 11, 1]) == [
        (0, AlertLevel.WARNING),
        (1, AlertLevel.ALARM),
        (5, AlertLevel.FINE),
    ]


def test_a_jump_over_both_thresholds_is_one_alarm() -> None:
    assert told(AT_ONCE, [1, 99, 99, 1]) == [(1, AlertLevel.ALARM), (3, AlertLevel.FINE)]


def test_a_level_must_hold_for_the_window_in_both_directions() -> None:
    spike, dip = [21.0] * 5 + [1.0], [21.0] * 7 + [1.0] * 3 + [21.0] * 7
    assert told(HELD, spike) == []
    assert told(HELD, dip) == [(6, AlertLevel.ALARM)]


def test_the_same_level_is_not_told_again_before_the_cool_down_is_over() -> None:
    values = [21.0, 1.0] * 40  # for 800 s, each 10 s; the cool-down is 600 s
    first, over, *later = told(AT_ONCE, values)
    assert (first, over) == ((0, AlertLevel.ALARM), (1, AlertLevel.FINE))
    assert later == [(62, AlertLevel.ALARM), (63, AlertLevel.FINE)]


def test_what_is_worse_than_before_is_told_within_the_cool_down() -> None:
    assert told(AT_ONCE, [11, 1, 11, 21]) == [
        (0, AlertLevel.WARNING),
        (1, AlertLevel.FINE),
        (3, AlertLevel.ALARM),
    ]


def test_what_still_holds_when_the_cool_down_is_over_is_told_then() -> None:
    values = [21.0, 1.0] + [21.0] * 70
    assert told(AT_ONCE, values) == [
        (0, AlertLevel.ALARM),
        (1, AlertLevel.FINE),
        (61, AlertLevel.ALARM),
    ]


def test_what_is_silenced_is_told_when_the_silence_ends() -> None:
    reading = Reading("queue_pending", "mail", 21)
    standing, nothing = judged(AT_ONCE, None, reading, START, silenced=True)
    assert nothing is None
    standing, notice = judged(AT_ONCE, standing, reading, START + MINUTE)
    assert notice is not None
    assert (notice.level, notice.subject, notice.threshold) == (AlertLevel.ALARM, "mail", 20)
    assert standing.told is AlertLevel.ALARM


def test_the_default_rules_are_those_of_the_table() -> None:
    table = {rule.name: (rule.warning, rule.alarm) for rule in RULES}
    specified = {
        "task_running": (30, 60),
        "queue_pending": (1_000, 5_000),
        "failure_percentage": (5, 10),
        "cpu": (80, 90),
        "memory": (85, 95),
        "failed_tasks": (None, 100),
    }
    assert {name: table[name] for name in specified} == specified


def test_rules_are_changed_and_dropped_by_name() -> None:
    changes = {
        "cpu": AlertRule(enabled=False),
        "memory": AlertRule(alarm=99, window=5, ignore=("nas",)),
        "queue_pending": AlertRule(warning=math.inf, alarm=math.inf),
    }
    rules = {rule.name: rule for rule in changed(changes)}
    assert "cpu" not in rules
    memory = rules["memory"]
    assert (memory.warning, memory.alarm, memory.window) == (85, 99, 5 * SECOND)
    assert memory.ignore == {"nas"}
    assert rules["queue_pending"].level(10**9) is AlertLevel.FINE


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cpus": AlertRule()}, "no alert rule is called 'cpus'"),
        ({"cpu": AlertRule(warning=95)}, "warning 95 must not be above the alarm 90"),
        ({"cpu": AlertRule(window=-1)}, "window must not be negative"),
    ],
)
def test_a_wrong_change_is_refused_where_it_is_written(
    changes: dict[str, AlertRule], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        AlertSettings(rules=changes)


def flood(counts: list[int], every: timedelta) -> list[tuple[int, int]]:
    """At which of the looks how many failures were told, with so many new ones before each."""
    standing: Failing | None = None
    by_minute: dict[datetime, int] = {}
    found = []
    for number, count in enumerate(counts):
        now = START + number * every
        minute = now.replace(second=0, microsecond=0)
        by_minute[minute] = by_minute.get(minute, 0) + count
        fresh = Failing(since=minute - MINUTE)
        standing = failures_told(standing or fresh, by_minute, now)
        if standing is not None and standing.telling:
            found.append((number, standing.telling))
            standing = msgspec.structs.replace(standing, telling=0)
    return found


def test_each_failure_is_told_once_when_they_are_rare() -> None:
    counts = [0] * 5 + [1] + [0] * 200 + [2] + [0] * 10
    assert flood(counts, 10 * SECOND) == [(5, 1), (206, 2)]


def test_a_flood_of_failures_is_a_handful_of_notices_that_count_them_all() -> None:
    counts = [100] * 100 + [0] * 500  # 10,000 failures within 1,000 s
    notices = flood(counts, 10 * SECOND)
    assert len(notices) <= 5
    assert sum(count for _, count in notices) == 10_000
    assert notices[0] == (0, 100)


def test_failures_after_quiet_time_are_told_at_once_again() -> None:
    counts = [100] * 12 + [0] * 100 + [1]
    assert flood(counts, 10 * SECOND)[-1] == (112, 1)
