"""API keys, the caller, the audit."""

from collections.abc import Iterable
from datetime import datetime

from tidemill.access import Scope
from tidemill.client.asking import Ask, Route, path, said
from tidemill.client.routes.forms import API, post, read
from tidemill.interface.audit import AuditRecords
from tidemill.interface.keys import CallerRecord, KeysRecord, NewKeyRecord


@Route
def list_keys() -> Ask[KeysRecord]:
    """List the API keys, without the keys themselves."""
    return read(f"{API}/keys", KeysRecord)


@Route
def create_key(
    name: str,
    scopes: Iterable[Scope | str],
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    expires: float | None = None,
    rate: str | None = None,
) -> Ask[NewKeyRecord]:
    """Make an API key, good for `expires` seconds or until it is revoked; it is told this once."""
    body = {"name": name, "scopes": [str(each) for each in scopes]} | said(
        {"user_id": user_id, "project_id": project_id, "expires": expires, "rate": rate}
    )
    return post(f"{API}/keys", NewKeyRecord, body)


@Route
def revoke_key(key_id: str) -> Ask[None]:
    """Revoke an API key by its id."""
    return Ask(method="DELETE", path=path(f"{API}/keys/{{}}", key_id), answer=type(None))


@Route
def get_me() -> Ask[CallerRecord]:
    """Tell who the server takes the client for, and what it may do."""
    return read(f"{API}/me", CallerRecord)


@Route
def list_audit(
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    who: str | None = None,
    action: str | None = None,
    limit: int | None = None,
) -> Ask[AuditRecords]:
    """List who changed what, the newest first."""
    which = {"since": since, "until": until, "who": who, "action": action, "limit": limit}
    return read(f"{API}/audit", AuditRecords, which)
