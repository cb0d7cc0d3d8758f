"""Metrics of several processes as those of one.

Each worker process writes what it counts into a file of a private folder, every second and when it
ends; the supervisor reads them. What a process counted stays when it ends, so that counters never
fall; one that is killed loses what it counted in its last second.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tidemill.app import Tidemill
from tidemill.metrics import Family, joined

EVERY: Final = 1.0
"""Seconds between writes."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Family])


async def write_metrics(app: Tidemill, folder: Path) -> None:
    """Write the metrics of this process into its file of a folder, until cancelled and then once.

    A folder that is gone is no problem of the worker.
    """
    file = folder / f"{os.getpid()}.metrics"
    new = file.with_suffix(".new")
    try:
        while True:
            await asyncio.sleep(EVERY)
            _write(app, file, new)
    finally:
        _write(app, file, new)


def _write(app: Tidemill, file: Path, new: Path) -> None:
    try:
        new.write_bytes(_ENCODER.encode(app.metrics.families()))
        new.replace(file)
    except OSError:
        return


class Together:
    """Reads what the processes of a supervisor wrote, and keeps what those counted that ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: list[Family] = []

    def families(self) -> list[Family]:
        """All of them as one; gauges are of those that live."""
        readings = [_read(file) for file in sorted(self._folder.glob("*.metrics"))]
        return joined([self._kept, *readings])

    def ended(self, pid: int) -> None:
        """Keep what a process counted that has ended."""
        file = self._folder / f"{pid}.metrics"
        counted = [family for family in _read(file) if family.kind != "gauge"]
        self._kept = joined([self._kept, counted])
        file.unlink(missing_ok=True)


def _read(file: Path) -> Sequence[Family]:
    try:
        return _DECODER.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return ()
