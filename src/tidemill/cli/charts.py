"""Numbers over time on a terminal: one line of blocks for each series."""

import shutil
from collections.abc import Sequence
from typing import TypeVar

from tidemill.cli.output import padded, width_of

N = TypeVar("N", int, float)
_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"
_WIDEST = 60
_BESIDE = 44
"""Columns of a terminal that are left to headings and largest values."""


def places() -> int:
    """How many characters a line of a chart may have here."""
    return min(_WIDEST, max(10, shutil.get_terminal_size().columns - _BESIDE))


def sparkline(values: Sequence[float]) -> str:
    """One character for each value, as high as its share of the largest; nothing is a dot.

    >>> sparkline([0, 1, 4, 8])
    '·▁▄█'
    """
    largest = max(values, default=0)
    return "".join(
        _BLOCKS[max(1, round(value / largest * len(_BLOCKS))) - 1] if value > 0 else _NOTHING
        for value in values
    )


def parted(values: Sequence[N], length: int) -> list[Sequence[N]]:
    """Values in parts of one length; only the last may be shorter."""
    return [values[start : start + length] for start in range(0, len(values), length)]


def print_lines(lines: Sequence[tuple[str, str, str]]) -> None:
    """Print lines of a chart: each with its heading before it and a remark behind it."""
    width = max((width_of(heading) for heading, _, _ in lines), default=0)
    for heading, blocks, remark in lines:
        print(f"{padded(heading, width)}  {blocks}  {remark}".rstrip())
