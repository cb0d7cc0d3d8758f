"""Live changes as the server sends them: lines to events."""

from typing import Final

import msgspec

from tidemill.interface.events import Change, Cut, Standing


class Event(msgspec.Struct, frozen=True):
    """One event, by its name.

    `state` says how a task stands (a `Change`) or how the queues do (a `Standing`), `reset` that
    changes were lost or the client was too slow (a `Cut`); every other one is named for what
    happened to a task. `id` goes on behind it: give it as `last`. None keeps the one before.
    """

    name: str
    data: Change | Standing | Cut
    id: str | None


_CHANGE: Final = msgspec.json.Decoder(Change)
_CUT: Final = msgspec.json.Decoder(Cut)
_STANDING: Final = msgspec.json.Decoder(Standing)


class Lines:
    """Reads one stream, line by line."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def take(self, line: str) -> Event | None:
        """The event that ends with this line, if one does. Comments are none."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        name, data = fields.get("event", "message"), fields["data"]
        return Event(name, _data(name, data), fields.get("id"))


def _data(name: str, data: str) -> Change | Standing | Cut:
    match name:
        case "reset":
            return _CUT.decode(data)
        case "state" if '"queues"' in data[:80]:
            return _STANDING.decode(data)
        case _:
            return _CHANGE.decode(data)
