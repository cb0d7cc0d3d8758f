"""Payloads, results, durations and errors, as every record has them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from tidemill.codec import DEFAULT_CODEC, open_envelope
from tidemill.errors import PayloadUndecodable
from tidemill.interface.tasks import ErrorRecord
from tidemill.secret import Path, masked, may_show
from tidemill.task import TaskError

SAFE: Final = 2**53 - 1
"""The largest integer that a browser reads exactly."""


def seconds(value: timedelta | None) -> float | None:
    """A duration as it is written here."""
    return None if value is None else value.total_seconds()


def error_record(error: TaskError | None) -> ErrorRecord | None:
    """Why an attempt failed."""
    if error is None:
        return None
    return ErrorRecord(error.type, error.message, error.traceback, error.fingerprint)


def error_text(error: TaskError | None) -> str | None:
    """Why an attempt failed, in one line."""
    return None if error is None else f"{error.type}: {error.message}"


def value_of(envelope: bytes | None, *, secret: Sequence[Path] = (), exact: bool = False) -> Any:
    """The JSON in an envelope with its secrets masked; None for one that is not readable.

    `secret` are the places of those that are declared. `exact`: integers that a browser would
    round are texts.
    """
    if envelope is None:
        return None
    try:
        body = open_envelope(envelope)
        if not exact and may_show(body, secret):
            return msgspec.Raw(body)  # as it stands there, not decoded
        value = masked(DEFAULT_CODEC.decode(envelope), secret)
        return browsable(value) if exact else value
    except PayloadUndecodable:
        return None


def browsable(value: Any) -> Any:
    """A JSON value, which is changed, with integers beyond 2^53 as texts; however deep it is.

    >>> browsable({"a": [1, 2**60]})
    {'a': [1, '1152921504606846976']}
    """
    whole = [value]
    waiting: list[Any] = [whole]
    while waiting:
        inside = waiting.pop()
        parts = inside.items() if isinstance(inside, dict) else enumerate(inside)
        for place, part in list(parts):
            if isinstance(part, dict | list):
                waiting.append(part)
            elif isinstance(part, int) and not -SAFE <= part <= SAFE:
                inside[place] = str(part)
    return whole[0]
