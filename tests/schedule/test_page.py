"""The table of docs/schedules.md about changes of clocks is true, row by row."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tidemill.cron import parse

PAGE = Path(__file__).parents[2] / "docs/schedules.md"
ROW = re.compile(
    r"^\| `(?P<expression>[^`]+)` \| (?P<zone>\w+/\w+) \| (?P<day>[\d-]+) \| "
    r"(?P<change>[^|]+) \| (?P<fires>[^|]+) \|$",
    re.MULTILINE,
)
ROWS = list(ROW.finditer(PAGE.read_text(encoding="utf-8")))


def test_the_table_is_found() -> None:
    assert len(ROWS) == 12


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['expression']} {row['zone']}")
def test_a_row_of_the_table_says_what_happens(row: re.Match[str]) -> None:
    zone, day = ZoneInfo(row["zone"]), date.fromisoformat(row["day"])
    found = []
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    for instant in parse(row["expression"], row["zone"]).instants(noon - timedelta(days=2)):
        if instant > noon + timedelta(days=2):
            break
        wall = instant.astimezone(zone)
        if wall.date() == day:
            found.append(f"{wall:%H:%M} ({instant:%H:%M})")
    assert (", ".join(found) or "nothing") == row["fires"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['expression']} {row['zone']}")
def test_a_row_names_a_day_on_which_the_clocks_change(row: re.Match[str]) -> None:
    zone, day = ZoneInfo(row["zone"]), date.fromisoformat(row["day"])
    noons = [datetime(each.year, each.month, each.day, 12, tzinfo=zone) for each in around(day)]
    assert len({noon.utcoffset() for noon in noons}) == 2


def around(day: date) -> list[date]:
    return [day - timedelta(days=2), day + timedelta(days=1)]
