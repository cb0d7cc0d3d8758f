"""Alerts and silences as clients read them."""

from collections.abc import Iterable

from tidemill.alert import AlertLevel, Silence
from tidemill.app.alerts import AlertInfo
from tidemill.interface.alerts import AlertRecord, AlertsRecord, SilenceRecord, SilencesRecord

_LEVELS = {
    AlertLevel.FINE: "fine",
    AlertLevel.WARNING: "warning",
    AlertLevel.ALARM: "alarm",
}


def alerts_record(infos: Iterable[AlertInfo]) -> AlertsRecord:
    """What is not fine."""
    return AlertsRecord(
        tuple(
            AlertRecord(
                rule=each.rule,
                subject=each.subject,
                level=_LEVELS[each.level],  # type: ignore[arg-type]  # its names are the literals
                told=_LEVELS[each.told],  # type: ignore[arg-type]  # the same
                value=each.value,
                since=each.since,
                silenced=each.silenced,
            )
            for each in infos
        )
    )


def silence_record(silence: Silence) -> SilenceRecord:
    """One silence."""
    return SilenceRecord(
        id=silence.id,
        rule=silence.rule,
        subject=silence.subject,
        until=silence.until,
        by=silence.by,
        reason=silence.reason,
    )


def silences_record(silences: Iterable[Silence]) -> SilencesRecord:
    """The silences that hold."""
    return SilencesRecord(tuple(silence_record(each) for each in silences))
