"""API keys, and who asks."""

from datetime import datetime

import msgspec

from tidemill.access import Scope


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without the key. `id` is the part of the key by which it is recognised.

    It sees the tasks of `user_id` and `project_id` only, null does not restrict; `rate` is how
    often it may ask, such as 100/s. `last_used_at` is right to a minute or so.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    user_id: str | None
    project_id: str | None
    rate: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class KeysRecord(msgspec.Struct, frozen=True):
    """All API keys, the oldest first."""

    keys: tuple[KeyRecord, ...]


class NewKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made: `key` is shown this once."""

    key: str
    record: KeyRecord


class CallerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, with everything that its scopes contain, and whose tasks it sees."""

    who: str
    scopes: tuple[Scope, ...]
    user_id: str | None
    project_id: str | None
    rate: str | None
