import doctest
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidemill.cli import charts, output, times
from tidemill.cli.charts import parted, sparkline
from tidemill.cli.texts import Say, texts_of
from tidemill.cli.times import duration, in_zone, instant, moment
from tidemill.errors import ConfigError

SAY = Say(texts_of("en"))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("45", 45), ("0.5", 0.5), ("90s", 90), ("5m", 300), ("5min", 300), ("12h", 43_200)),
        *(("30d", 2_592_000), ("2w", 1_209_600), ("1h30m", 5_400), ("1h 30min", 5_400), ("0s", 0)),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text, SAY) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "d", "5x", "-5m", "5m x", "m5", "1e3", "nan", "9" * 30 + "d", "5 months", "five"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a duration: write it as 90s, 5m"):
        duration(text, SAY)


def test_an_instant_without_an_offset_is_told_by_the_clock_of_the_zone() -> None:
    utc = datetime(2030, 3, 1, 1, tzinfo=UTC)
    assert instant("2030-03-01T09:00+08:00", SAY) == utc
    assert instant("2030-03-01T09:00", SAY, "Asia/Shanghai") == utc
    assert instant("2030-03-01T01:00Z", SAY, "Asia/Shanghai") == utc
    assert instant("2030-03-01 01:00", SAY) == utc
    assert instant("2030-03-01", SAY).hour == 0


def test_an_instant_keeps_its_moment_on_the_clock_of_another_zone() -> None:
    there = in_zone(NOW, "Asia/Kathmandu", SAY)
    assert there == NOW
    assert there.isoformat() == "2026-03-01T17:45:00+05:45"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Asia"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ConfigError, match="there is no time zone"):
        instant("2030-03-01T09:00", SAY, zone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("2026-02-28T00:00+01:00", datetime(2026, 2, 28, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_duration_ago_or_an_instant(text: str, expected: datetime) -> None:
    assert moment(text, NOW, SAY) == expected


@pytest.mark.parametrize("text", ["soon", "", "999999w"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is neither a duration such as 7d nor an instant"):
        moment(text, NOW, SAY)


@pytest.mark.parametrize("module", [times, charts, output])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]  # a module is a ModuleType
    assert result.attempted
    assert not result.failed


def test_a_sparkline_shows_the_smallest_and_the_largest_apart_from_nothing() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "··"
    assert sparkline([1, 1_000]) == "▁█"
    assert sparkline([5]) == "█"


def test_parts_hold_every_value_once() -> None:
    assert parted([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert parted([1, 2], 1) == [[1], [2]]
