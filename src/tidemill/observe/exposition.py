"""Families as Prometheus reads them, in its text format or in OpenMetrics.

`prometheus-client` writes both; it comes with `pip install 'tidemill[http]'`.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

from tidemill.errors import ConfigError
from tidemill.metrics import Family


@cache
def available() -> bool:
    """Whether the package that writes metrics is installed."""
    return find_spec("prometheus_client") is not None


def require() -> None:
    """Refuse to serve metrics without the package that writes them; raises `ConfigError`."""
    if not available():
        raise ConfigError(
            "metrics need prometheus-client, which is not installed: pip install 'tidemill[http]'"
        )


def exposition(families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """The text of families and its media type: OpenMetrics where `accept` asks for it."""
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415  # an extra

    encode, media_type = choose_encoder(accept)
    return encode(_Reading(tuple(families))), media_type


class _Reading:
    """What `prometheus-client` collects from."""

    def __init__(self, families: tuple[Family, ...]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        return map(_metric, self._families)


def _metric(family: Family) -> Any:
    from prometheus_client import metrics_core  # noqa: PLC0415  # an extra

    labels = list(family.labels)
    match family.kind:
        case "counter":
            name = family.name.removesuffix("_total")
            counter = metrics_core.CounterMetricFamily(name, family.help, labels=labels)
            for sample in family.samples:
                counter.add_metric(sample.labels, sample.value)
            return counter
        case "gauge":
            gauge = metrics_core.GaugeMetricFamily(family.name, family.help, labels=labels)
            for sample in family.samples:
                gauge.add_metric(sample.labels, sample.value)
            return gauge
        case "histogram":
            spread = metrics_core.HistogramMetricFamily(family.name, family.help, labels=labels)
            ends = [*(_bound(each) for each in family.bounds), "+Inf"]
            for sample in family.samples:
                buckets = list(zip(ends, map(float, accumulate(sample.counts)), strict=True))
                spread.add_metric(sample.labels, buckets, sample.value)
            return spread


def _bound(value: float) -> str:
    return repr(float(value))
