"""Durations and instants as people write and read them."""

import re
from datetime import UTC, datetime, timedelta

from tidemill.cli.texts import Say
from tidemill.errors import ConfigError

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?) ?(min|[smhdw])")
_SPELLED = (("d", 86400), ("h", 3600), ("min", 60))


def duration(text: str, say: Say) -> timedelta:
    """A duration such as `30d`, `1h30m` or `45` (seconds); raises `ConfigError` for what is none.

    Units are s, m or min, h, d and w.
    """
    bare = re.fullmatch(r"\d+(?:\.\d+)?", text)
    parts = [(text, "s")] if bare else _PART.findall(text)
    if not parts or (not bare and _PART.sub("", text).strip()):
        raise ConfigError(say("times.not_a_duration", text=text))
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
    except OverflowError as error:
        raise ConfigError(say("times.not_a_duration", text=text)) from error


def instant(text: str, say: Say, zone: str = "UTC") -> datetime:
    """An instant such as `2026-03-01T09:00+08:00`; one without an offset is the clock of a zone.

    Raises `ConfigError` for what is none, and for an unknown zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(say("times.not_an_instant", text=text)) from error
    return found if found.tzinfo else in_zone(found.replace(tzinfo=UTC), zone, say, shift=False)


def in_zone(at: datetime, zone: str, say: Say, *, shift: bool = True) -> datetime:
    """The same instant on the clock of a zone, or without `shift` what its clock calls the same."""
    from zoneinfo import ZoneInfo

    try:
        there = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(say("times.not_a_zone", text=zone)) from error
    return at.astimezone(there) if shift else at.replace(tzinfo=there)


def moment(text: str, now: datetime, say: Say) -> datetime:
    """An instant, or that of a duration ago."""
    try:
        return now - duration(text, say)
    except OverflowError as error:
        raise ConfigError(say("times.not_a_moment", text=text)) from error
    except ConfigError:
        try:
            return instant(text, say)
        except ConfigError as error:
            raise ConfigError(say("times.not_a_moment", text=text)) from error


def spelled(length: timedelta) -> str:
    """A duration exactly, in the largest unit of which it is a whole number.

    >>> [spelled(timedelta(seconds=each)) for each in (90, 300, 5400, 86400, 0.5)]
    ['90 s', '5 min', '90 min', '1 d', '0.5 s']
    """
    seconds = length.total_seconds()
    for unit, size in _SPELLED:
        if seconds and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def short(instant: str | None) -> str:
    """An instant of a record without its fraction of a second."""
    return "" if instant is None else instant[:19] + "Z"
