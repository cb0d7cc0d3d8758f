"""Counting durations in slots, and reading percentiles from the counts."""

import math
import random
from collections import Counter
from datetime import timedelta

import pytest

from tidemill.clock import micros
from tidemill.histogram import (
    LAST_SLOT,
    PER_DOUBLING,
    add,
    merged,
    percentile,
    percentiles,
    slot,
    value,
)

ERROR = 2 ** (0.5 / PER_DOUBLING)
"""How far a slot's value is from what it stands for, at most, as a ratio: 9 %."""


@pytest.mark.parametrize("of_slot", range(0, LAST_SLOT, PER_DOUBLING))
def test_a_power_of_two_is_the_last_of_its_slot(of_slot: int) -> None:
    power = 2 ** (of_slot // PER_DOUBLING)
    assert slot(power) == of_slot
    if power > 4:
        assert slot(power + 1) == of_slot + 1


def test_a_slot_holds_what_its_bounds_say() -> None:
    chance = random.Random(3)
    for _ in range(10_000):
        duration = int(math.exp(chance.uniform(0, math.log(2**42))))
        of_slot = slot(duration)
        assert 2 ** ((of_slot - 1) / PER_DOUBLING) * (1 - 1e-12) < duration or of_slot == 0
        assert duration <= 2 ** (of_slot / PER_DOUBLING) * (1 + 1e-12)


def test_longer_durations_are_never_in_a_lower_slot() -> None:
    slots = [slot(duration) for duration in range(5_000)]
    assert slots == sorted(slots)


@pytest.mark.parametrize("nothing", [-5, 0, 1])
def test_a_microsecond_and_less_is_the_first_slot(nothing: int) -> None:
    assert slot(nothing) == 0


def test_months_are_counted_in_the_last_slot() -> None:
    assert slot(micros(timedelta(days=80))) < LAST_SLOT
    assert slot(micros(timedelta(days=400))) == slot(10**30) == LAST_SLOT


def test_the_value_of_a_slot_is_within_nine_percent_of_all_that_it_holds() -> None:
    for duration in (1, 2, 3, 17, 1_000, 123_456, 10**7, 2**43):
        ratio = value(slot(duration)) / duration
        assert ratio * (1 + 1e-12) >= 1 / ERROR
        assert ratio <= ERROR * (1 + 1e-12)
    assert pytest.approx(1.0905, abs=1e-4) == ERROR


@pytest.mark.parametrize("seed", range(20))
def test_percentiles_are_within_nine_percent_of_the_exact_ones(seed: int) -> None:
    chance = random.Random(seed)
    durations = sorted(
        max(2, int(chance.lognormvariate(chance.uniform(3, 15), 1.5))) for _ in range(2_000)
    )
    histogram = Counter(map(slot, durations))
    for share, read in zip(
        (0.01, 0.5, 0.95, 0.99, 1.0),
        percentiles(histogram, (0.01, 0.5, 0.95, 0.99, 1.0)),
        strict=True,
    ):
        exact = durations[math.ceil(share * len(durations)) - 1]
        assert read is not None
        assert read / exact * (1 + 1e-9) >= 1 / ERROR
        assert read / exact <= ERROR * (1 + 1e-9)


def test_merged_histograms_read_as_one_of_all() -> None:
    chance = random.Random(7)
    durations = [chance.randrange(1, 10**9) for _ in range(3_000)]
    parts = [Counter(map(slot, durations[start::3])) for start in range(3)]
    assert merged(parts) == Counter(map(slot, durations))


def test_adding_leaves_what_is_added_as_it_is() -> None:
    together, more = {1: 1}, {1: 2, 5: 1}
    add(together, more)
    assert (together, more) == ({1: 3, 5: 1}, {1: 2, 5: 1})


def test_of_nothing_there_are_no_percentiles() -> None:
    assert percentile({}, 0.5) is None
    assert percentiles({}, (0.5, 0.9)) == [None, None]


def test_one_duration_is_every_percentile() -> None:
    assert percentiles({40: 1}, (0.0, 0.5, 1.0)) == [value(40)] * 3
