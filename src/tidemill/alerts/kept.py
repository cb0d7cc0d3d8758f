"""What is remembered of alerts between two looks, as documents that any node may write."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec

from tidemill.alert import Failing, Standing
from tidemill.app.alerts import ALERT
from tidemill.engine import Document, Engine, Put

FAILING: Final = "failing"
"""The kind of those that say which failures of a task type were told."""

T = TypeVar("T", Standing, Failing)


class Kept(msgspec.Struct, Generic[T], frozen=True):
    """A value, and the version of its document; 0 where there is none."""

    value: T | None
    version: int = 0


class Shelf(Generic[T]):
    """The values of one kind, by the two names that their key is made of."""

    def __init__(self, kind: str, shape: type[T]) -> None:
        self._kind = kind
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(shape)

    async def read(self, engine: Engine) -> dict[tuple[str, str], Kept[T]]:
        """All of them; what another version wrote and this one cannot read counts as absent."""
        documents = await engine.documents(self._kind)
        return {names(each.key): Kept(self._value(each), each.version) for each in documents}

    def put(self, key: tuple[str, str], value: T | None, version: int) -> Put:
        """Writes a value, or removes it, if nobody else did since it was read."""
        body = None if value is None else msgspec.json.encode(value)
        return Put(self._kind, "/".join(key), body, version)

    def _value(self, document: Document) -> T | None:
        try:
            return self._decoder.decode(document.body)
        except msgspec.DecodeError:
            return None


STANDINGS: Final = Shelf(ALERT, Standing)
FAILINGS: Final = Shelf(FAILING, Failing)


def names(key: str) -> tuple[str, str]:
    """The two names of a key; the first has no slash."""
    first, _, second = key.partition("/")
    return first, second


def oldest(failings: Iterable[Kept[Failing]], default: datetime) -> datetime:
    """From when on failures must be counted."""
    return min((each.value.since for each in failings if each.value), default=default)
