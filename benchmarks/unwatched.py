"""`tidemill` without the statistics and workers' records that nothing turns off.

`observed.py` compares with it what watching costs; it is of no other use.
"""

import sys
from collections.abc import Iterator

from tidemill.cli import main
from tidemill.engines.redis import scripts
from tidemill.engines.sqlite.history import Tallies
from tidemill.worker.presence import Presence

_composed = scripts._composed  # noqa: SLF001  # there is no other way in, and nobody else needs one


def _without_tallies(path: str, there: set[str]) -> Iterator[str]:
    """A script whose function that notes what ended notes nothing."""
    yield from _composed(path, there)
    if path == "prelude/ended.lua":
        yield "note_end = function() end"


async def _untold(*_: object) -> None:
    """Keep no record of this worker."""


def _uncounted(*_: object) -> None:
    """Count nothing that ended."""


if __name__ == "__main__":
    scripts._composed = _without_tallies  # noqa: SLF001  # as above
    setattr(Tallies, "add", _uncounted)  # noqa: B010  # mypy takes an assignment for a mistake
    setattr(Presence, "tell", _untold)  # noqa: B010  # the same
    sys.exit(main())
