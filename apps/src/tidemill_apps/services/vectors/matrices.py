"""Matrices kept in memory between searches."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tidemill_apps.services.embedder import Matrix

_MOST_BYTES: Final = 256 << 20  # 130,000 vectors of 512 numbers


class Held(msgspec.Struct, frozen=True):
    """The vectors of a collection as of `stamp`; `places` says which row an id has."""

    stamp: int
    matrix: Matrix
    ids: list[str]
    places: Mapping[str, int]


class Matrices:
    """The matrices that were asked for last, up to `_MOST_BYTES`; safe from any thread."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._held: OrderedDict[str, Held] = OrderedDict()

    def get(self, name: str, stamp: int, load: Callable[[], Held]) -> Held:
        """Return the matrix of this stamp, loaded where another or none is held."""
        with self._changing:
            held = self._held.get(name)
            if held is not None and held.stamp == stamp:
                self._held.move_to_end(name)
                return held
        held = load()
        with self._changing:
            self._held[name] = held
            self._held.move_to_end(name)
            while sum(kept.matrix.nbytes for kept in self._held.values()) > _MOST_BYTES:
                self._held.popitem(last=False)
        return held

    def clear(self) -> None:
        """Hold none."""
        with self._changing:
            self._held.clear()
