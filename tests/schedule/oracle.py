"""What a cron expression means, found by looking at every minute.

Written from the rules of docs/schedules.md and not from the code: fields are expanded to lists of
numbers, each minute of UTC is asked what the clock on the wall shows, and nothing is skipped.
"""

import calendar
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
LIMITS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]

Minutes = Sequence[tuple[datetime, datetime]]
"""Each minute in UTC, and what the wall shows then (naive)."""


def minutes(zone: str, start: datetime, days: int) -> Minutes:
    there = ZoneInfo(zone)
    first = start.astimezone(UTC).replace(second=0, microsecond=0)
    instants = (first + each * MINUTE for each in range(days * 24 * 60))
    return [(each, each.astimezone(there).replace(tzinfo=None, fold=0)) for each in instants]


def happens(expression: str, shown: Minutes) -> list[datetime]:
    """The minutes at which an expression fires; what was shown before them does not count."""
    matches = matcher(expression)
    fields = expression.split()
    if fields[0][0] == "*" or fields[1][0] == "*":
        return [utc for utc, wall in shown if matches(wall)]
    found = []
    reached = shown[0][1] - MINUTE
    for utc, wall in shown:
        new = []
        while reached < wall:
            reached += MINUTE
            new.append(reached)
        if any(matches(each) for each in new):
            found.append(utc)
    return found


def matcher(expression: str) -> Callable[[datetime], bool]:
    chosen = chooser(expression)
    minute, hour = (
        frozenset(numbers(text, *limits))
        for text, limits in zip(expression.split()[:2], LIMITS[:2], strict=True)
    )
    days: dict[date, bool] = {}

    def matches(wall: datetime) -> bool:
        if wall.minute not in minute or wall.hour not in hour:
            return False
        day = wall.date()
        if day not in days:
            days[day] = chosen(day)
        return days[day]

    return matches


def chooser(expression: str) -> Callable[[date], bool]:
    """Whether a day is one of the expression's."""
    of_month, month, of_week = expression.upper().split()[2:]
    both = of_month[0] == "*" or of_week[0] == "*"

    def by_month(day: date) -> bool:
        return any(month_term(term, day) for term in of_month.split(","))

    def by_week(day: date) -> bool:
        return any(week_term(term, day) for term in of_week.split(","))

    def chosen(day: date) -> bool:
        if day.month not in numbers(month, 1, 12, MONTHS):
            return False
        return by_month(day) and by_week(day) if both else by_month(day) or by_week(day)

    return chosen


def month_term(term: str, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if term == "L":
        return day.day == last
    if term == "LW":
        workdays = [
            each for each in range(1, last + 1) if day.replace(day=each).strftime("%u") < "6"
        ]
        return day.day == workdays[-1]
    return day.day in numbers(term, 1, 31)


def week_term(term: str, day: date) -> bool:
    weekday = int(day.strftime("%w"))  # 0 is Sunday
    last = calendar.monthrange(day.year, day.month)[1]
    same = [each for each in range(1, last + 1) if (each - day.day) % 7 == 0]
    if term[-1] == "L":
        return weekday == int(term[:-1]) % 7 and day.day == same[-1]
    if "#" in term:
        name, nth = term.split("#")
        (wanted,) = numbers(name, 0, 7, WEEKDAYS)
        return weekday == wanted % 7 and same.index(day.day) + 1 == int(nth)
    return weekday in [each % 7 for each in numbers(term, 0, 7, WEEKDAYS)]


def numbers(text: str, low: int, high: int, names: Sequence[str] = ()) -> list[int]:
    found = []
    for term in text.upper().split(","):
        body, _, step = term.partition("/")
        if body == "*":
            first, last = low, high
        elif "-" in body:
            first, last = (number(each, low, names) for each in body.split("-"))
        else:
            first = number(body, low, names)
            last = high if step else first
        found += [each for each in range(first, last + 1) if (each - first) % int(step or 1) == 0]
    return found


def number(text: str, low: int, names: Sequence[str]) -> int:
    return names.index(text) + low if text in names else int(text)
