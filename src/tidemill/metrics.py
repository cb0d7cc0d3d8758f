"""Counters, gauges and histograms of one process, in plain values.

They cost a look into a dict when something happens and are laid out only when somebody reads them;
`tidemill.observe` writes them as Prometheus does. Labels are bounded: at most `MOST_VALUES` values
each, and what comes later is counted under `OTHER`.
"""

import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Literal, TypeVar

import msgspec

from tidemill.errors import DeclarationError

MOST_VALUES: Final = 500
"""Values that one label may have."""

MOST_SERIES: Final = 5_000
"""Combinations of label values that one family may have."""

OTHER: Final = "other"
"""What stands for all values of a label beyond the bound."""

SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""The bounds of a histogram of durations, unless it is declared with others."""

Labels = tuple[str, ...]
Kind = Literal["counter", "gauge", "histogram"]
Joined = Literal["sum", "max", "min"]
"""What the values of several processes are together."""

T = TypeVar("T")
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}")


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One series: its label values, and its value, which of a histogram is the sum.

    `counts` are a histogram's by bucket, not added up; the last is above all bounds.
    """

    labels: Labels
    value: float
    counts: tuple[int, ...] = ()


class Family(msgspec.Struct, frozen=True):
    """All series of one name. A counter's name ends in `_total`."""

    name: str
    kind: Kind
    help: str
    labels: Labels
    samples: tuple[Sample, ...]
    bounds: tuple[float, ...] = ()
    joined: Joined = "sum"


Source = Callable[[], Iterable[Family]]
"""Tells families at the moment when they are read."""


class Bounded:
    """Keeps the label values of one family within their bounds."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._values: tuple[set[str], ...] = tuple(set() for _ in labels)
        self._series: set[Labels] = set()

    def __call__(self, values: Labels) -> Labels:
        """The series that these label values are counted under."""
        place = tuple(
            _bounded(value, seen) for value, seen in zip(values, self._values, strict=True)
        )
        if place not in self._series:
            if len(self._series) >= MOST_SERIES:
                place = (OTHER,) * len(values)
            self._series.add(place)
        return place


def _bounded(value: str, seen: set[str]) -> str:
    if value not in seen:
        if len(seen) >= MOST_VALUES:
            return OTHER
        seen.add(value)
    return value


class _Series(Generic[T]):
    """The cells of one family by label values; safe to use from any thread."""

    def __init__(self, labels: Labels, make: Callable[[], T]) -> None:
        self.lock = threading.Lock()
        self._names = frozenset(labels)
        self._labels = labels
        self._make = make
        self._place = Bounded(labels)
        self._cells: dict[Labels, T] = {} if labels else {(): make()}

    def cell(self, said: Mapping[str, str]) -> T:
        """The cell of labels given by name; call it with the lock held."""
        if said.keys() != self._names:
            wanted = ", ".join(self._labels) or "none"
            raise DeclarationError(
                f"the labels are {', '.join(sorted(said)) or 'none'}, and declared are {wanted}"
            )
        values = tuple([str(said[name]) for name in self._labels])
        found = self._cells.get(values)
        if found is None:
            place = self._place(values)
            found = self._cells.setdefault(place, self._make())
        return found

    def items(self) -> list[tuple[Labels, T]]:
        """Every cell with its label values."""
        with self.lock:
            return sorted(self._cells.items(), key=lambda item: item[0])


class Counter:
    """Something that happens and is counted: it only rises."""

    def __init__(self, name: str, help: str, labels: Labels) -> None:
        self.name = name
        self._help = help
        self._labels = labels
        self._series: _Series[list[float]] = _Series(labels, lambda: [0.0])

    def add(self, amount: float = 1, /, **labels: str) -> None:
        """Count `amount` more, for the labels that were declared. Safe from any thread."""
        if amount < 0:
            raise DeclarationError(f"{self.name} is a counter and cannot fall by {-amount}")
        with self._series.lock:
            self._series.cell(labels)[0] += amount

    def family(self) -> Family:
        """What it says now."""
        samples = tuple(Sample(values, cell[0]) for values, cell in self._series.items())
        return Family(self.name, "counter", self._help, self._labels, samples)


class Gauge:
    """Something that is so much at the moment."""

    def __init__(self, name: str, help: str, labels: Labels, joined: Joined) -> None:
        self.name = name
        self._help = help
        self._labels = labels
        self._joined = joined
        self._series: _Series[list[float]] = _Series(labels, lambda: [0.0])

    def set(self, value: float, /, **labels: str) -> None:
        """Say what it is now. Safe from any thread."""
        with self._series.lock:
            self._series.cell(labels)[0] = value

    def add(self, amount: float = 1, /, **labels: str) -> None:
        """Raise it, or lower it by an amount below zero. Safe from any thread."""
        with self._series.lock:
            self._series.cell(labels)[0] += amount

    def family(self) -> Family:
        """What it says now."""
        samples = tuple(Sample(values, cell[0]) for values, cell in self._series.items())
        return Family(self.name, "gauge", self._help, self._labels, samples, joined=self._joined)


class Spread:
    """How often values fell between the bounds of a histogram, and their sum; one thread's own."""

    __slots__ = ("counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def sample(self, labels: Labels) -> Sample:
        """It as a series."""
        return Sample(labels, self.sum, tuple(self.counts))


class Histogram:
    """How values are spread, such as durations in seconds."""

    def __init__(self, name: str, help: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.name = name
        self._help = help
        self._labels = labels
        self._bounds = bounds
        self._series: _Series[Spread] = _Series(labels, lambda: Spread(bounds))

    def record(self, value: float, /, **labels: str) -> None:
        """Count a value; durations are in seconds. Safe from any thread."""
        slot = bisect_left(self._bounds, value)
        with self._series.lock:
            spread = self._series.cell(labels)
            spread.counts[slot] += 1
            spread.sum += value

    def family(self) -> Family:
        """What it says now."""
        samples = tuple(spread.sample(values) for values, spread in self._series.items())
        return Family(self.name, "histogram", self._help, self._labels, samples, self._bounds)


Measure = Counter | Gauge | Histogram


class Metrics:
    """The metrics of one process: what an application declares, and what tells of itself.

    Declaring the same again gives the one that is there, so that a module may be imported twice.
    What nothing could read (a name that Prometheus refuses, a counter that does not end in
    `_total`, one name declared in two ways) raises `DeclarationError`.
    """

    def __init__(self) -> None:
        self._measures: dict[str, tuple[object, Measure]] = {}
        self._sources: list[Source] = []
        self._begun: set[str] = set()

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """Declare a counter; its name ends in `_total`."""
        if not name.endswith("_total"):
            raise DeclarationError(f"{name!r} is a counter: its name must end in _total")
        names = tuple(labels)
        return self._declared(name, names, ("counter", names), Counter, help, names)

    def gauge(
        self, name: str, help: str, labels: Sequence[str] = (), *, joined: Joined = "sum"
    ) -> Gauge:
        """Declare a gauge; `joined` is what the values of several processes are together."""
        names = tuple(labels)
        return self._declared(name, names, ("gauge", names, joined), Gauge, help, names, joined)

    def histogram(
        self,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        *,
        bounds: Sequence[float] = SECONDS,
    ) -> Histogram:
        """Declare a histogram; `bounds` are the upper ends of its buckets, rising."""
        names, ends = tuple(labels), tuple(float(each) for each in bounds)
        if not ends or list(ends) != sorted(set(ends)):
            raise DeclarationError(f"the bounds of {name} must rise: {ends}")
        kind = ("histogram", names, ends)
        return self._declared(name, names, kind, Histogram, help, names, ends)

    def _declared(
        self,
        name: str,
        labels: Labels,
        kind: object,
        make: Callable[..., T],
        help: str,
        *rest: object,
    ) -> T:
        for each in (name, *labels):
            if not _NAME.fullmatch(each):
                raise DeclarationError(f"{each!r} cannot name a metric or a label: letters, 0-9, _")
        if "le" in labels or any(each.startswith("__") for each in labels):
            raise DeclarationError(f"{name}: le and names that begin with __ are Prometheus's own")
        found = self._measures.get(name)
        if found is None:
            made = make(name, help, *rest)
            self._measures[name] = (kind, made)  # type: ignore[assignment]  # `make` is one of the three
            return made
        if found[0] != kind:
            raise DeclarationError(f"the metric {name} is declared already, in another way")
        return found[1]  # type: ignore[return-value]  # of the same kind

    def source(self, tell: Source) -> Callable[[], None]:
        """Ask `tell` at each read; answers what ends that."""
        self._sources.append(tell)
        return lambda: self._sources.remove(tell) if tell in self._sources else None

    def first(self, what: str) -> bool:
        """Whether this is the first time that it is asked: for who may begin only once."""
        again = what in self._begun
        self._begun.add(what)
        return not again

    def families(self) -> list[Family]:
        """Everything, as it stands now, by name."""
        declared = [measure.family() for _, measure in list(self._measures.values())]
        told = [family for tell in list(self._sources) for family in tell()]
        return joined([declared, told])


def joined(readings: Iterable[Iterable[Family]]) -> list[Family]:
    """Readings of several processes as one, by name: each series joined as its family says.

    Of families that are declared in two ways the first counts: processes of two versions may run
    beside each other.
    """
    together: dict[str, Family] = {}
    for reading in readings:
        for family in reading:
            known = together.get(family.name)
            if known is None:
                together[family.name] = family
            elif _shape(known) == _shape(family):
                together[family.name] = _with(known, family)
    return [together[name] for name in sorted(together)]


def _shape(family: Family) -> object:
    return (family.kind, family.labels, family.bounds)


def _with(one: Family, other: Family) -> Family:
    series = {sample.labels: sample for sample in one.samples}
    for sample in other.samples:
        known = series.get(sample.labels)
        series[sample.labels] = sample if known is None else _added(known, sample, one.joined)
    samples = tuple(series[labels] for labels in sorted(series))
    return msgspec.structs.replace(one, samples=samples)


def _added(one: Sample, other: Sample, how: Joined) -> Sample:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    match how:
        case "sum":
            return Sample(one.labels, one.value + other.value, counts)
        case "max":
            return Sample(one.labels, max(one.value, other.value))
        case "min":
            return Sample(one.labels, min(one.value, other.value))
