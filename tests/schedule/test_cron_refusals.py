"""What is no cron expression, and how people are told."""

import pickle

import pytest

from tidemill.cron import days, parse
from tidemill.cron.expression import LONGEST
from tidemill.errors import InvalidSchedule


def refusal(expression: str, timezone: str = "UTC") -> InvalidSchedule:
    with pytest.raises(InvalidSchedule) as caught:
        parse(expression, timezone)
    return caught.value


@pytest.mark.parametrize(
    ("expression", "field", "column", "reason"),
    [
        ("61 * * * *", "minute", 0, "minute 61 at column 0 is not in 0..59"),
        ("0 24 * * *", "hour", 2, "hour 24 at column 2 is not in 0..23"),
        ("0 0 1,32 * *", "day of month", 6, "day of month 32 at column 6 is not in 1..31"),
        ("0 0 0 * *", "day of month", 4, "day of month 0 at column 4 is not in 1..31"),
        ("* * * FOO *", "month", 6, "month FOO at column 6 is not in 1..12 or JAN..DEC"),
        ("* * * * 8", "day of week", 8, "day of week 8 at column 8 is not in 0..7 or SUN..SAT"),
        ("  0  9-25 * * *", "hour", 7, "hour 25 at column 7 is not in 0..23"),
        ("*/0 * * * *", "minute", 2, "minute step 0 at column 2 is not in 1..59"),
        ("*/90 * * * *", "minute", 2, "minute step 90 at column 2 is not in 1..59"),
        ("0 5-1 * * *", "hour", 2, "hour 5-1 at column 2 does not go from low to high"),
        (
            "* * * * FRI-SUN",
            "day of week",
            8,
            "day of week FRI-SUN at column 8 does not go from low to high",
        ),
        ("* * * * MON#6", "day of week", 12, "day of week number 6 at column 12 is not in 1..5"),
        ("* * L/2 * *", "day of month", 4, "day of month L at column 4 is not in 1..31"),
        (
            "1,,2 * * * *",
            "minute",
            2,
            "minute '' at column 2 is not a value, a range, a step or a list of these",
        ),
        (
            "? * * * *",
            "minute",
            0,
            "minute '?' at column 0 is not a value, a range, a step or a list of these",
        ),
        (
            "* * 15W * *",
            "day of month",
            4,
            "day of month 15W at column 4 is not in 1..31",
        ),
        (
            "٣ * * * *",
            "minute",
            0,
            "minute '٣' at column 0 is not a value, a range, a step or a list",
        ),
    ],
)
def test_a_mistake_is_named_with_its_field_and_column(
    expression: str, field: str, column: int, reason: str
) -> None:
    error = refusal(expression)
    assert str(error).startswith(f"cron expression {expression!r}: {reason}")
    assert (error.field, error.column) == (field, column)


def test_six_fields_lead_to_an_interval_schedule() -> None:
    error = refusal("*/5 * * * * *")
    assert "it has 6 fields instead of five" in str(error)
    assert "for seconds use an interval schedule" in str(error)


@pytest.mark.parametrize("expression", ["", "   ", "* * * *", "* * * * * * *", "@daily *"])
def test_the_five_fields_are_named_where_there_are_more_or_fewer(expression: str) -> None:
    assert "(minute, hour, day of month, month, day of week)" in str(refusal(expression))


@pytest.mark.parametrize("word", ["@every", "@reboot", "@"])
def test_an_unknown_shorthand_is_answered_with_the_known_ones(word: str) -> None:
    assert f"{word} is none of @yearly" in str(refusal(word))
    assert "interval schedule" in str(refusal(word))


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 30 2 *",
        "0 0 31 feb,apr,jun,sep,nov *",
        "0 0 30-31 2 */2",
        "0 0 */30 * MON#2",  # 1st and 31st; second Mondays are the 8th to the 14th
    ],
)
def test_what_never_fires_is_refused_after_looking_at_every_kind_of_year(expression: str) -> None:
    before = days._chosen.cache_info()
    assert "never fires" in str(refusal(expression))
    after = days._chosen.cache_info()
    assert after.hits + after.misses - before.hits - before.misses <= 28 * 12


def test_what_fires_every_28_years_is_not_refused() -> None:
    assert parse("0 0 * 2 1#5").expression == "0 0 * 2 1#5"


@pytest.mark.parametrize(
    "bomb",
    [
        "* " * 1_000_000,
        ",".join(["*"] * 100_000) + " * * * *",
        "1-2/" * 100_000,
        "9" * 1_000_000 + " * * * *",
        "*/" + "9" * 10_000 + " * * * *",
        "@" * 1_000_000,
    ],
)
def test_a_bomb_is_refused_by_its_length_before_anything_is_read(bomb: str) -> None:
    error = refusal(bomb)
    assert f"characters, the limit is {LONGEST}" in str(error)
    assert len(str(error)) < 120


def test_the_longest_sensible_list_is_within_the_limit() -> None:
    every = ",".join(str(each) for each in range(60))
    assert parse(f"{every} 0,1,2,3,4,5,6 * * *").reading.minutes == tuple(range(60))


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Mars/Olympus",
        "Europe",
        "../zone",
        "/etc/localtime",
        "localtime",
        "x" * 1_000_000,
        "a\0b",
    ],
)
def test_what_is_no_zone_everywhere_is_refused(zone: str) -> None:
    error = refusal("* * * * *", zone)
    assert error.field == "timezone"
    assert str(error).startswith("no time zone is called '")
    assert len(str(error)) < 200


def test_a_misspelt_zone_is_answered_with_the_one_that_was_meant() -> None:
    assert "did you mean Asia/Shanghai?" in str(refusal("* * * * *", "Asia/Shangai"))


def test_a_refusal_survives_the_way_out_of_a_child_process() -> None:
    error = refusal("61 * * * *")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.field, copy.column) == (str(error), "minute", 0)
    assert (error.slug, error.exit_code) == ("invalid-schedule", 2)
