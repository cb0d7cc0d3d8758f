"""Cron expressions by example."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from tidemill.clock import to_micros
from tidemill.cron import parse, stretches

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def first(expression: str, n: int = 3, after: datetime = NEW_YEAR, zone: str = "UTC") -> list[str]:
    instants = islice(parse(expression, zone).instants(after), n)
    return [each.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M") for each in instants]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["Thu 2026-01-01 00:20", "Thu 2026-01-01 00:40", "Thu 2026-01-01 01:00"]),
        ("0 9 * * 1", ["Mon 2026-01-05 09:00", "Mon 2026-01-12 09:00", "Mon 2026-01-19 09:00"]),
        ("0 9 1 * *", ["Thu 2026-01-01 09:00", "Sun 2026-02-01 09:00", "Sun 2026-03-01 09:00"]),
        (
            "5/25 8-9 * * *",
            ["Thu 2026-01-01 08:05", "Thu 2026-01-01 08:30", "Thu 2026-01-01 08:55"],
        ),
        ("0 0 * * Sat-7", ["Sat 2026-01-03 00:00", "Sun 2026-01-04 00:00", "Sat 2026-01-10 00:00"]),
        (
            "0 0 1 jan,JUL *",
            ["Wed 2026-07-01 00:00", "Fri 2027-01-01 00:00", "Thu 2027-07-01 00:00"],
        ),
        ("0 0 L * *", ["Sat 2026-01-31 00:00", "Sat 2026-02-28 00:00", "Tue 2026-03-31 00:00"]),
        ("0 0 LW * *", ["Fri 2026-01-30 00:00", "Fri 2026-02-27 00:00", "Tue 2026-03-31 00:00"]),
        ("0 0 * * 5L", ["Fri 2026-01-30 00:00", "Fri 2026-02-27 00:00", "Fri 2026-03-27 00:00"]),
        ("0 0 * * MON#2", ["Mon 2026-01-12 00:00", "Mon 2026-02-09 00:00", "Mon 2026-03-09 00:00"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00", "Fri 2036-02-29 00:00"]),
    ],
)
def test_an_expression_means_what_people_expect(expression: str, expected: list[str]) -> None:
    assert first(expression) == expected


def test_sunday_is_zero_and_seven() -> None:
    assert first("0 0 * * 0") == first("0 0 * * 7") == first("0 0 * * sun")


def test_a_day_of_month_or_a_day_of_week_is_enough_where_both_are_restricted() -> None:
    days = ["Fri 2026-01-02", "Fri 2026-01-09", "Tue 2026-01-13", "Fri 2026-01-16"]
    assert first("0 0 13 * FRI", 4) == [f"{day} 00:00" for day in days]


def test_both_are_needed_where_one_of_the_two_begins_with_a_star() -> None:
    assert first("0 0 */2 * FRI", 2) == ["Fri 2026-01-09 00:00", "Fri 2026-01-23 00:00"]


@pytest.mark.parametrize(
    ("word", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @annually ", "0 0 1 1 *"),
    ],
)
def test_a_shorthand_stands_for_an_expression(word: str, expression: str) -> None:
    assert first(word) == first(expression)


def test_an_instant_is_later_than_what_was_asked_for() -> None:
    rule = parse("0 9 * * *", "Asia/Shanghai")
    nine = datetime(2026, 5, 4, 1, 0, tzinfo=UTC)
    assert rule.next(nine - timedelta(microseconds=1)) == nine
    assert rule.next(nine) == nine + timedelta(days=1)
    assert rule.count(nine, nine + timedelta(days=1)) == 1
    assert rule.count(nine, nine) == rule.count(nine, nine - timedelta(days=3)) == 0


def test_answers_are_in_utc_whatever_the_zone_of_the_question() -> None:
    asked = datetime(2026, 5, 4, 8, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    found = parse("0 9 * * *", "Asia/Shanghai").next(asked)
    assert found is not None
    assert (found, found.tzinfo) == (datetime(2026, 5, 4, 1, 0, tzinfo=UTC), UTC)


def test_a_question_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        parse("* * * * *").next(datetime(2026, 1, 1))  # noqa: DTZ001


def test_nothing_happens_before_1970_or_at_the_end_of_the_calendar() -> None:
    rule = parse("0 12 * * *")
    assert rule.next(datetime.min.replace(tzinfo=UTC)) == datetime(1970, 1, 1, 12, tzinfo=UTC)
    assert rule.next(datetime.max.replace(tzinfo=UTC)) is None
    last = datetime(9998, 12, 31, 12, tzinfo=UTC)
    assert list(rule.instants(last - timedelta(hours=1))) == [last]


def test_the_rarest_day_is_found_also_where_it_is_forty_years_away() -> None:
    sunday = first("0 0 29 2 */7", 2, datetime(2073, 1, 1, tzinfo=UTC))
    assert sunday == ["Sun 2088-02-29 00:00", "Sun 2128-02-29 00:00"]


def test_asked_from_within_a_fold_the_rule_does_not_go_back_in_time() -> None:
    """Berlin's clocks showed 02:00 to 03:00 from 00:00 UTC and again from 01:00 UTC."""
    again = datetime(2025, 10, 26, 1, 10, tzinfo=UTC)
    times, wall = parse("30 2 * * *", "Europe/Berlin"), parse("30 * * * *", "Europe/Berlin")
    assert times.next(again) == datetime(2025, 10, 27, 1, 30, tzinfo=UTC)
    assert times.count(again, again + timedelta(hours=1)) == 0
    assert wall.next(again) == again + timedelta(minutes=20)


def test_a_fold_at_the_very_end_of_a_year_is_remembered_in_the_next() -> None:
    """Dhaka's clocks went back from midnight to 23:00 as 2010 began."""
    after = datetime(2009, 12, 31, 12, tzinfo=UTC)
    times = list(islice(parse("0,30 22,23 * * *", "Asia/Dhaka").instants(after), 5))
    assert [each.strftime("%H:%M") for each in times] == [
        "15:00",
        "15:30",
        "16:00",
        "16:30",
        "16:00",
    ]


def test_what_a_fold_shows_again_in_the_next_year_of_utc_does_not_happen_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No zone has had one yet: back by an hour at 23:30 UTC on the last of December."""
    fold = to_micros(datetime(2030, 12, 31, 23, 30, tzinfo=UTC)) // 1_000_000
    monkeypatch.setattr(stretches, "_offset", lambda _, second: 3_600 * (second < fold))
    stretches._stretches.cache_clear()
    try:
        rule = parse("5,40 23,0 * * *", "Etc/GMT-14")
        found = list(islice(rule.instants(datetime(2030, 12, 31, 22, 30, tzinfo=UTC)), 4))
    finally:
        stretches._stretches.cache_clear()
    assert [each.strftime("%d %H:%M") for each in found] == [
        "31 22:40",
        "31 23:05",
        "01 00:40",
        "01 23:05",
    ]


def test_the_years_of_a_century_are_counted_without_walking_through_them() -> None:
    rule = parse("* * * * *", "America/New_York")
    century = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert rule.count(*century) == (century[1] - century[0]) // timedelta(minutes=1)
