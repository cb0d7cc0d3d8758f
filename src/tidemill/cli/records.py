"""Values of the seam as plain records with stable keys: what `-o json` prints.

Instants become RFC 3339 texts with `Z`, durations seconds, payloads and results the JSON values
that they hold.
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tidemill.codec import DEFAULT_CODEC
from tidemill.errors import PayloadError
from tidemill.secret import masked, secrets_of
from tidemill.task import NewTask, Task

_DETAILS = ("payload", "result", "attempts", "logs")


def plain(value: Any) -> Any:
    """A value made of JSON's own types."""
    return _plain(msgspec.to_builtins(value, builtin_types=(datetime, timedelta, bytes)))


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case bytes():
            return opened(value)
    return value


def opened(envelope: bytes) -> Any:
    """The JSON value in an envelope, but for values whose names say that they are secret.

    One that cannot be read is told with its raw bytes.
    """
    try:
        return masked(DEFAULT_CODEC.decode(envelope))
    except PayloadError as error:
        return {"undecodable": str(error), "base64": base64.b64encode(envelope).decode()}


def summary(task: Task) -> dict[str, Any]:
    """A task without what only detailed queries fill, and without its error's traceback."""
    record: dict[str, Any] = plain(task)
    for name in _DETAILS:
        del record[name]
    if record["error"] is not None:
        del record["error"]["traceback"]
    return record


def details(task: Task) -> dict[str, Any]:
    """A task with all that is known of it, but for its secrets."""
    record: dict[str, Any] = plain(task)
    secrets = secrets_of(task.headers)
    record["payload"] = masked(record["payload"], secrets.payload)
    record["result"] = masked(record["result"], secrets.result)
    return record


def payload_of(task: Task | NewTask) -> Any:
    """The arguments of a task, but for its secrets."""
    if task.payload is None:
        return None
    return masked(opened(task.payload), secrets_of(task.headers).payload)
