"""Alerts and silences."""

from datetime import datetime
from typing import Literal

import msgspec


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is not fine about a subject: a queue, a task type, a host, a schedule, a worker.

    `level` is what the readings say since an instant, `told` what people were told, and `value` the
    reading that brought it there.
    """

    rule: str
    subject: str
    level: Literal["fine", "warning", "alarm"]
    told: Literal["fine", "warning", "alarm"]
    value: float
    since: datetime
    silenced: bool


class AlertsRecord(msgspec.Struct, frozen=True):
    """What is not fine, or was told and has not been told to be over; the worst first."""

    alerts: tuple[AlertRecord, ...]


class SilenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is told about what it covers until an instant; a rule or subject of null is any."""

    id: str
    rule: str | None
    subject: str | None
    until: datetime
    by: str
    reason: str


class SilencesRecord(msgspec.Struct, frozen=True):
    """The silences that hold, the one that ends first before the others."""

    silences: tuple[SilenceRecord, ...]
