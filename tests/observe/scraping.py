"""Reading what Prometheus would read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import httpx
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as plain

OPEN = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape."""

    families: tuple[Metric, ...]

    @classmethod
    def of(cls, text: str) -> "Scrape":
        parse: Callable[[str], Iterable[Metric]] = (
            open_metrics if text.endswith("# EOF\n") else plain
        )
        found = parse(text)
        return cls(tuple(found))

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for family in self.families:
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels."""
        return sum(
            value
            for each, given, value in self.samples()
            if each == name and labels.items() <= given.items()
        )

    @property
    def labels_of(self) -> Mapping[str, frozenset[str]]:
        """The labels of every name that has a sample."""
        found: dict[str, set[str]] = {}
        for name, labels, _ in self.samples():
            found.setdefault(name, set()).update(labels)
        return {name: frozenset(labels) for name, labels in found.items()}

    @property
    def names(self) -> Iterable[str]:
        return {name for name, _, _ in self.samples()}


async def scraped(port: int, accept: str = "") -> Scrape:
    """What a server of metrics answers."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    return Scrape.of(answer.text)
