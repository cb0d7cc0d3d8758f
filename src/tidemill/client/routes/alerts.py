"""Alerts and silences."""

from tidemill.client.asking import Ask, Route, path, said
from tidemill.client.routes.forms import API, post, read
from tidemill.interface.alerts import AlertsRecord, SilenceRecord, SilencesRecord


@Route
def list_alerts() -> Ask[AlertsRecord]:
    """What is not fine, the worst first."""
    return read(f"{API}/alerts", AlertsRecord)


@Route
def list_silences() -> Ask[SilencesRecord]:
    """The silences that hold."""
    return read(f"{API}/alerts/silences", SilencesRecord)


@Route
def create_silence(
    seconds: float, *, rule: str | None = None, subject: str | None = None, reason: str = ""
) -> Ask[SilenceRecord]:
    """Tell nothing about a rule, a subject or both for some seconds."""
    body = {"seconds": seconds, "reason": reason} | said({"rule": rule, "subject": subject})
    return post(f"{API}/alerts/silences", SilenceRecord, body)


@Route
def delete_silence(silence_id: str) -> Ask[None]:
    """End a silence now."""
    at = path(f"{API}/alerts/silences/{{}}", silence_id)
    return Ask(method="DELETE", path=at, answer=type(None))
