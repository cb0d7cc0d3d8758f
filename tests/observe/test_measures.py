"""Counters, gauges and histograms as values: what they count, and what they refuse."""

import threading
from collections.abc import Callable

import pytest

from tidemill import DeclarationError, Metrics
from tidemill.metrics import MOST_SERIES, MOST_VALUES, OTHER, Family, Joined, Sample, joined


def _of(metrics: Metrics, name: str) -> dict[tuple[str, ...], Sample]:
    [family] = [each for each in metrics.families() if each.name == name]
    return {sample.labels: sample for sample in family.samples}


def test_a_counter_counts_by_its_labels() -> None:
    metrics = Metrics()
    counter = metrics.counter("mails_total", "Mails.", ("kind",))
    counter.add(kind="news")
    counter.add(2, kind="news")
    counter.add(kind="bill")
    found = _of(metrics, "mails_total")
    assert {labels: sample.value for labels, sample in found.items()} == {
        ("bill",): 1,
        ("news",): 3,
    }


def test_a_counter_without_labels_is_there_before_it_counts() -> None:
    metrics = Metrics()
    metrics.counter("mails_total", "Mails.")
    assert _of(metrics, "mails_total")[()].value == 0


def test_a_gauge_rises_and_falls() -> None:
    metrics = Metrics()
    gauge = metrics.gauge("open", "Open ones.")
    gauge.set(5)
    gauge.add(-2)
    assert _of(metrics, "open")[()].value == 3


def test_a_histogram_counts_a_value_at_its_bound_below_it() -> None:
    metrics = Metrics()
    histogram = metrics.histogram("size", "Sizes.", bounds=(1, 5))
    for value in (0.5, 1, 5, 6):
        histogram.record(value)
    sample = _of(metrics, "size")[()]
    assert (sample.counts, sample.value) == ((2, 1, 1), 12.5)


def test_no_count_is_lost_between_threads() -> None:
    metrics = Metrics()
    counter = metrics.counter("mails_total", "Mails.", ("kind",))

    def count() -> None:
        for _ in range(5_000):
            counter.add(kind="x")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _of(metrics, "mails_total")[("x",)].value == 20_000


def test_a_label_has_a_bounded_number_of_values() -> None:
    metrics = Metrics()
    counter = metrics.counter("mails_total", "Mails.", ("user",))
    for number in range(10_000):
        counter.add(user=str(number))
    found = _of(metrics, "mails_total")
    assert len(found) == MOST_VALUES + 1
    assert found[(OTHER,)].value == 10_000 - MOST_VALUES


def test_a_family_has_a_bounded_number_of_series() -> None:
    metrics = Metrics()
    counter = metrics.counter("mails_total", "Mails.", ("one", "two"))
    for number in range(200 * 200):
        counter.add(one=str(number // 200), two=str(number % 200))
    found = _of(metrics, "mails_total")
    assert len(found) == MOST_SERIES + 1
    assert sum(sample.value for sample in found.values()) == 200 * 200


@pytest.mark.parametrize(
    ("declare", "wrong"),
    [
        (lambda m: m.counter("mails", "x"), "must end in _total"),
        (lambda m: m.gauge("bad name", "x"), "'bad name' cannot name"),
        (lambda m: m.gauge("good", "x", ("é",)), "'é' cannot name"),
        (lambda m: m.histogram("good", "x", ("le",)), "Prometheus's own"),
        (lambda m: m.histogram("good", "x", bounds=(2, 1)), "must rise"),
        (lambda m: m.histogram("good", "x", bounds=()), "must rise"),
        (lambda m: (m.gauge("good", "x"), m.gauge("good", "x", ("a",))), "in another way"),
        (lambda m: m.counter("c_total", "x").add(-1), "cannot fall"),
        (lambda m: m.counter("c_total", "x", ("a",)).add(b="1"), "the labels are b"),
    ],
)
def test_what_nothing_could_read_is_refused(
    declare: Callable[[Metrics], object], wrong: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        declare(Metrics())
    assert wrong in str(refused.value)


def test_declaring_the_same_again_gives_the_one_that_is_there() -> None:
    metrics = Metrics()
    assert metrics.gauge("open", "x") is metrics.gauge("open", "x")


def test_a_source_is_asked_until_it_ends() -> None:
    metrics = Metrics()
    family = Family("now", "gauge", "x", (), (Sample((), 1),))
    end = metrics.source(lambda: [family])
    assert metrics.families() == [family]
    end()
    end()
    assert metrics.families() == []


@pytest.mark.parametrize(("how", "value"), [("sum", 5), ("max", 3), ("min", 2)])
def test_readings_of_processes_are_joined_as_their_family_says(how: Joined, value: float) -> None:
    readings = [[Family("x", "gauge", "x", (), (Sample((), each),), joined=how)] for each in (2, 3)]
    [family] = joined(readings)
    assert family.samples == (Sample((), value),)


def test_histograms_are_joined_bucket_by_bucket() -> None:
    readings = [
        [Family("x", "histogram", "x", ("a",), (Sample((a,), 1.0, (1, 2)),), (0.5,))]
        for a in ("p", "q", "p")
    ]
    [family] = joined(readings)
    assert family.samples == (Sample(("p",), 2.0, (2, 4)), Sample(("q",), 1.0, (1, 2)))


def test_a_family_of_another_version_is_left_out() -> None:
    one = Family("x", "gauge", "x", (), (Sample((), 1),))
    other = Family("x", "gauge", "x", ("a",), (Sample(("b",), 1),))
    assert joined([[one], [other]]) == [one]
