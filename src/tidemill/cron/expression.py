"""Reads a cron expression, and says where it is wrong.

`cronsim` reads the fields. What it takes without a word is refused here first, with its place: a
step longer than its field, a step after a single `L` or `5-5`.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim, CronSimError

from tidemill.cron.days import any_day
from tidemill.errors import InvalidSchedule

LONGEST = 256
"""Characters of an expression; a list of all minutes has 169. It bounds the work of reading one."""

_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ORDINARY = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?", re.ASCII)
_NTH = re.compile(r"(?P<first>\w+)#(?P<nth>\w+)", re.ASCII)
_LAST = re.compile(r"(?P<first>\d+)[Ll]", re.ASCII)
_TERMS = re.compile(r"(?:^|(?<=,))[^,]*")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of the values from `low` on
    words: frozenset[str] = frozenset()  # name days by themselves
    shapes: tuple[re.Pattern[str], ...] = (_ORDINARY,)

    @property
    def span(self) -> str:
        names = f" or {self.names[0]}..{self.names[-1]}" if self.names else ""
        return f"{self.low}..{self.high}{names}"

    def number(self, text: str) -> int | None:
        """The value that a text stands for; None when it is none of this field."""
        if text.upper() in self.names:
            return self.low + self.names.index(text.upper())
        return int(text) if text.isdecimal() and self.low <= int(text) <= self.high else None


_MONTHS = tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())
_WEEKDAYS = tuple("SUN MON TUE WED THU FRI SAT".split())
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, words=frozenset({"L", "LW"})),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS, shapes=(_LAST, _NTH, _ORDINARY)),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an expression says.

    `days` is the text of its last three fields; `times_of_day` chooses the rule for gaps and folds.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str
    times_of_day: bool


def read(expression: str) -> Reading:
    """Read an expression that fires some day; raises `InvalidSchedule`."""
    if len(expression) > LONGEST:
        start = f"{expression[:20]}…"
        raise _refused(start, f"it has {len(expression)} characters, the limit is {LONGEST}")
    full = _spelled_out(expression).upper()
    minute, hour, *days = full.split()
    try:
        found = CronSim(full, datetime(2000, 1, 1))  # noqa: DTZ001  # reads only, walks through no zone
    except CronSimError:  # beyond what is refused here: a day that none of the months has
        found = None
    if found is None or not any_day(" ".join(days)):
        reason = "it never fires, because no year has such a day"
        raise _refused(expression, reason, _FIELDS[2].name)
    return Reading(
        minutes=tuple(sorted(found.minutes)),
        hours=tuple(sorted(found.hours)),
        days=" ".join(days),
        times_of_day=not (minute.startswith("*") or hour.startswith("*")),
    )


def _refused(
    expression: str, reason: str, name: str | None = None, column: int | None = None
) -> InvalidSchedule:
    return InvalidSchedule(f"cron expression {expression!r}: {reason}", field=name, column=column)


def _spelled_out(expression: str) -> str:
    """Five fields, each of which can be read."""
    texts = list(re.finditer(r"\S+", expression))
    if len(texts) == 1 and texts[0][0].startswith("@"):
        word = texts[0][0]
        if word.lower() not in _SHORTHANDS:
            reason = f"{word} is none of {' '.join(_SHORTHANDS)}"
            hint = "for a period such as 5 minutes use an interval schedule"
            raise _refused(expression, f"{reason}; {hint}", column=texts[0].start())
        return _SHORTHANDS[word.lower()]
    if len(texts) != len(_FIELDS):
        names = ", ".join(each.name for each in _FIELDS)
        hint = "; for seconds use an interval schedule" if len(texts) == 6 else ""
        reason = f"it has {len(texts)} fields instead of five ({names}){hint}"
        raise _refused(expression, reason)
    for field, text in zip(_FIELDS, texts, strict=True):
        for term in _TERMS.finditer(text[0]):
            if mistake := _mistake(field, term[0], text.start() + term.start()):
                column, reason = mistake
                raise _refused(expression, reason, field.name, column)
    return expression


def _mistake(field: _Field, term: str, column: int) -> tuple[int, str] | None:
    """Where a term of a field is wrong, and how."""
    if term.upper() in field.words:
        return None
    found = next((each for shape in field.shapes if (each := shape.fullmatch(term))), None)
    if found is None:
        reason = "is not a value, a range, a step or a list of these"
        return column, f"{field.name} {term!r} at column {column} {reason}"
    others = {
        "step": _Field(f"{field.name} step", 1, field.high - field.low),
        "nth": _Field(f"{field.name} number", 1, 5),
    }
    numbers = {}
    for part, text in found.groupdict().items():
        if text is None:
            continue
        wanted = others.get(part, field)
        numbers[part] = wanted.number(text)
        if numbers[part] is None:
            at = column + found.start(part)
            return at, f"{wanted.name} {text} at column {at} is not in {wanted.span}"
    first, last = numbers.get("first"), numbers.get("last")
    if first is not None and last is not None and last <= first:
        return column, f"{field.name} {term} at column {column} does not go from low to high"
    return None
