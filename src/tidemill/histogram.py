"""Durations counted in slots that grow by a constant factor, and what can be read from them.

Four slots to the doubling, so that a percentile is read with an error of at most 9 %. Histograms of
any number of minutes, queues and machines can be added: that is the point (DDSketch: Masson, Rim
and Lee, VLDB 2019, section 2).
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import frexp

PER_DOUBLING = 4
LAST_SLOT = 4 * 43
"""About 100 days; what takes longer is counted there."""

_STEPS = [0.5 * 2 ** (n / PER_DOUBLING) for n in range(PER_DOUBLING)]


def slot(microseconds: int) -> int:
    """The slot of a duration: 0 holds all up to a microsecond, n those up to 2 ** (n / 4) of them.

    Worked out by comparisons only, so that every engine, in whatever language, finds the same.
    """
    if microseconds <= 1:
        return 0
    mantissa, exponent = frexp(microseconds)
    return min(LAST_SLOT, PER_DOUBLING * (exponent - 1) + bisect_left(_STEPS, mantissa))


def value(of_slot: int) -> float:
    """The duration in microseconds that stands for a slot: its middle, in terms of ratio."""
    return 1.0 if of_slot == 0 else 2 ** ((of_slot - 0.5) / PER_DOUBLING)


def add(together: dict[int, int], histogram: Mapping[int, int]) -> None:
    """Count into one histogram what another one counts."""
    if not together:
        together.update(histogram)
        return
    before = together.get
    for of_slot, count in histogram.items():
        together[of_slot] = before(of_slot, 0) + count


def merged(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """One histogram of all that these count."""
    together: dict[int, int] = {}
    for each in histograms:
        add(together, each)
    return together


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """The microseconds that a share (0..1) of what is counted does not exceed, within 9 %."""
    return percentiles(histogram, (share,))[0]


def percentiles(histogram: Mapping[int, int], shares: Sequence[float]) -> list[float | None]:
    """The percentile of each share, with one look at the histogram; None where it is empty."""
    if not histogram:
        return [None] * len(shares)
    slots = sorted(histogram)
    seen = list(accumulate([histogram[of_slot] for of_slot in slots]))
    return [value(slots[bisect_left(seen, share * seen[-1])]) for share in shares]
