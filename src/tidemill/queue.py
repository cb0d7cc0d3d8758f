"""What a queue may be told, how that is checked, and its form as a document.

What code declares and what an operator changed at run time are kept side by side: the operator's
word wins, and can be taken back.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from tidemill.clock import duration
from tidemill.engine import QueueDefinition
from tidemill.errors import ConfigError
from tidemill.ids import is_name
from tidemill.rates import MOST_OWED, Rate
from tidemill.sealing import unsealed

QUEUE: Final = "queue"
"""The kind of the documents that hold what queues were told, by name."""

FIELDS: Final = ("weight", "lease", "concurrency", "worker_concurrency", "rate", "capacity")
"""What may be said of a queue, in the order in which it is shown."""

HEAVIEST: Final = 100
LEAST_BURST: Final = 2


class QueueOptions(TypedDict, total=False):
    """What a queue may be told; None does not restrict.

    At most `concurrency` of its tasks run at once in the whole fleet, at most `worker_concurrency`
    of them in one worker process. They start at `rate`, such as `"100/m"`, `"5/s"`, `"1000/h"`,
    `"20/10s"` or a `Rate`, evenly, and up to `burst` at once after a pause. A text without a burst
    has a tenth of its number, at least 2: what lets a fleet use the rate fully although its
    workers wake some milliseconds late. At most `capacity` of its tasks wait: more are refused with
    `QueueFull` when they are enqueued. `weight` (1..100) is its share where several queues have
    tasks. `lease` (a `timedelta` or seconds) is how long its tasks stay with a worker that is not
    heard of, None as long as workers say.
    """

    concurrency: int | None
    worker_concurrency: int | None
    rate: Rate | str | None
    burst: int | None
    capacity: int | None
    weight: int
    lease: timedelta | float | None


class QueueChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator changed of a queue; the rest is unset."""

    weight: int | UnsetType = UNSET
    lease: timedelta | UnsetType | None = UNSET
    concurrency: int | UnsetType | None = UNSET
    worker_concurrency: int | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    capacity: int | UnsetType | None = UNSET

    @property
    def said(self) -> dict[str, Any]:
        """The changed fields by name."""
        every = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in every.items() if value is not UNSET}


class QueueDocument(msgspec.Struct, frozen=True):
    """What a queue was told: by code, None where no code declares it, and by operators."""

    declared: QueueDefinition | None = None
    changed: QueueChanges = QueueChanges()

    def effective(self, name: str) -> QueueDefinition:
        """What is to be in force: what was changed, else what is declared, else the defaults."""
        return msgspec.structs.replace(self.declared or QueueDefinition(name), **self.changed.said)


def declaration(name: str, said: QueueOptions) -> QueueDefinition:
    """The queue that code declares; raises `ConfigError`."""
    return with_options(QueueDefinition(name), said)


def with_options(present: QueueDefinition, said: QueueOptions) -> QueueDefinition:
    """The same queue with what is said; raises `ConfigError` for what no queue could be told."""
    for each in said.keys() - {"burst", *FIELDS}:
        raise ConfigError(f"queue {present.name}: there is no setting called {each!r}")
    values: dict[str, Any] = {each: said.get(each) for each in FIELDS if each in said}
    if values.get("lease") is not None:
        values["lease"] = duration(values["lease"])
    if "rate" in said or said.get("burst") is not None:
        values["rate"] = _rate(present, said)
    return checked(msgspec.structs.replace(present, **values))


def noted(present: QueueChanges, wanted: QueueDefinition, names: Iterable[str]) -> QueueChanges:
    """The changes with those of these names as they are wanted."""
    return msgspec.structs.replace(present, **{name: getattr(wanted, name) for name in names})


def decided_by(options: Iterable[str]) -> frozenset[str]:
    """The settings that options of these names decide about: a burst belongs to the rate."""
    return frozenset("rate" if name == "burst" else name for name in options)


def without(present: QueueChanges, names: Iterable[str]) -> QueueChanges:
    """The changes but for those of these names."""
    return msgspec.structs.replace(present, **dict.fromkeys(names, UNSET))


def unlike_default(definition: QueueDefinition) -> QueueChanges:
    """What a queue was told that has no document, as changes."""
    plain = QueueDefinition(definition.name)
    told = [name for name in FIELDS if getattr(definition, name) != getattr(plain, name)]
    return noted(QueueChanges(), definition, told)


def checked(definition: QueueDefinition) -> QueueDefinition:
    """The same definition; raises `ConfigError` if an engine could not hold it."""
    name = definition.name
    if not is_name(name):
        raise ConfigError(f"{name!r} cannot name a queue: 1-200 of A-Z a-z 0-9 _ . : -")
    for field in ("concurrency", "worker_concurrency", "capacity"):
        value = getattr(definition, field)
        if value is not None and not _is_count(value):
            raise ConfigError(
                f"queue {name}: {field} is a whole number from 1, or None for no limit, not "
                f"{value!r}"
            )
    if not _is_count(definition.weight) or definition.weight > HEAVIEST:
        raise ConfigError(
            f"queue {name}: weight is a whole number from 1 to {HEAVIEST}, not "
            f"{definition.weight!r}"
        )
    if definition.lease is not None and definition.lease <= timedelta():
        raise ConfigError(f"queue {name}: its lease {definition.lease} must be above 0")
    if definition.rate is not None:
        _check_rate(name, definition.rate)
    return definition


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _check_rate(name: str, rate: Rate) -> None:
    for field in ("count", "burst"):
        value = getattr(rate, field)
        if not _is_count(value):
            raise ConfigError(
                f"queue {name}: the {field} of its rate is a whole number from 1, not {value!r}"
            )
    if rate.cell <= 0:
        raise ConfigError(f"queue {name}: its rate {rate_text(rate)} is per no time at all")
    if rate.burst * rate.cell >= MOST_OWED:
        raise ConfigError(
            f"queue {name}: a burst of {rate.burst:,} at {rate_text(rate)} is more than can be "
            f"counted exactly: give a burst below {-(-MOST_OWED // rate.cell):,}, or the rate per "
            "a shorter time"
        )


# rates as people write them

_RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)?(s|m|h|d)")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def _rate(present: QueueDefinition, said: QueueOptions) -> Rate | None:
    """The rate that is said, with its burst, or the present one with another burst."""
    rate = said.get("rate", present.rate)
    burst = said.get("burst")
    if rate is None:
        if burst is not None:
            raise ConfigError(f"queue {present.name}: a burst of {burst} needs a rate")
        return None
    if isinstance(rate, str):
        return parsed_rate(present.name, rate, burst)
    if burst is None:
        return rate
    if "rate" in said:
        raise ConfigError(f"queue {present.name}: the rate {rate} has its burst, give no other")
    return msgspec.structs.replace(rate, burst=burst)


def parsed_rate(queue: str, text: str, burst: int | None = None) -> Rate:
    """The rate of a text such as `100/m` or `20/10s`; raises `ConfigError` for what is none."""
    found = _RATE.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ConfigError(
            f"queue {queue}: {text!r} is not a rate: write it as 5/s, 100/m, 1000/h, 20/10s"
        )
    count = int(found[1])
    per = timedelta(seconds=float(found[2] or 1) * _SECONDS[found[3]])
    return Rate(count, per, max(LEAST_BURST, count // 10) if burst is None else burst)


def rate_text(rate: Rate) -> str:
    """A rate as it is written, without its burst.

    >>> [rate_text(Rate(9, timedelta(seconds=each), 2)) for each in (1, 60, 10, 7200, 1.5)]
    ['9/s', '9/m', '9/10s', '9/2h', '9/1.5s']
    """
    seconds = rate.per.total_seconds()
    unit = next((each for each, size in _SECONDS.items() if seconds % size == 0), "s")
    times = seconds / _SECONDS[unit]
    return f"{rate.count}/{'' if times == 1 else f'{times:g}'}{unit}"


# its document

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(QueueDocument)


def encode(document: QueueDocument) -> bytes:
    """The body of its document: JSON, `{"declared": {…} or null, "changed": {…}}`."""
    return _ENCODER.encode(document)


def decode(name: str, body: bytes) -> QueueDocument:
    """What a queue was told; raises `ConfigError` for what `encode` did not write."""
    try:
        return _DECODER.decode(unsealed(body))
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"the stored settings of the queue {name} cannot be read: {error}"
        ) from error
