"""What measurements are summed up to."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that `percent` of all do not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 50)
    2.0
    """
    ordered = sorted(values)
    rank = -int(-percent * len(ordered) // 100)
    return ordered[max(0, rank - 1)]


def spread(milliseconds: Sequence[float], prefix: str = "") -> dict[str, float]:
    """The percentiles that a latency is judged by, rounded to a microsecond."""
    return {
        f"{prefix}p50_ms": round(percentile(milliseconds, 50), 3),
        f"{prefix}p95_ms": round(percentile(milliseconds, 95), 3),
        f"{prefix}p99_ms": round(percentile(milliseconds, 99), 3),
        f"{prefix}max_ms": round(max(milliseconds), 3),
    }
