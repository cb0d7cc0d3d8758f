"""What a queue may be told: checked at once, written as documents, shown as it was said."""

from datetime import timedelta
from typing import Any

import pytest

from tidemill.engine import QueueDefinition
from tidemill.errors import ConfigError
from tidemill.queue import (
    QueueChanges,
    QueueDocument,
    declaration,
    decode,
    encode,
    rate_text,
    unlike_default,
    with_options,
    without,
)
from tidemill.rates import MOST_OWED, Rate

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def test_what_is_not_said_does_not_restrict() -> None:
    assert declaration("mail", {}) == QueueDefinition("mail")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/s", Rate(5, SECOND, 2)),
        ("100/m", Rate(100, MINUTE, 10)),
        ("1000/h", Rate(1000, 60 * MINUTE, 100)),
        ("7/d", Rate(7, DAY, 2)),
        ("20/10s", Rate(20, 10 * SECOND, 2)),
        ("3/1.5s", Rate(3, 1.5 * SECOND, 2)),
    ],
)
def test_a_rate_is_written_in_one_word_and_has_a_tenth_as_burst(text: str, rate: Rate) -> None:
    made = declaration("mail", {"rate": text}).rate
    assert made == rate
    assert rate_text(rate) == text


def test_a_rate_of_its_own_value_stays_as_it_is() -> None:
    rate = Rate(9, timedelta(seconds=7), 9)
    assert declaration("mail", {"rate": rate}).rate == rate
    assert declaration("mail", {"rate": "9/7s", "burst": 9}).rate == rate


def test_a_burst_alone_changes_that_of_the_present_rate() -> None:
    present = declaration("mail", {"rate": "100/m"})
    assert with_options(present, {"burst": 1}).rate == Rate(100, MINUTE, 1)
    with pytest.raises(ConfigError, match=r"^queue mail: a burst of 1 needs a rate$"):
        with_options(QueueDefinition("mail"), {"burst": 1})


def test_durations_may_be_seconds() -> None:
    assert declaration("mail", {"lease": 90}).lease == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"concurrency": 0}, "concurrency is a whole number from 1, or None for no limit, not 0"),
        ({"concurrency": True}, "concurrency is a whole number from 1, .* not True"),
        ({"worker_concurrency": 1.5}, "worker_concurrency is a whole number from 1, .* not 1.5"),
        ({"capacity": -1}, "capacity is a whole number from 1, or None for no limit, not -1"),
        ({"weight": 101}, "weight is a whole number from 1 to 100, not 101"),
        ({"weight": None}, "weight is a whole number from 1 to 100, not None"),
        ({"lease": 0}, "its lease 0:00:00 must be above 0"),
        ({"rate": "fast"}, "'fast' is not a rate: write it as 5/s, 100/m, 1000/h, 20/10s"),
        ({"rate": "0/s"}, "the count of its rate is a whole number from 1, not 0"),
        ({"rate": "5/0s"}, "its rate 5/0d is per no time at all"),
        ({"rate": "5/s", "burst": 0}, "the burst of its rate is a whole number from 1, not 0"),
        ({"rate": Rate(5, SECOND, 2), "burst": 3}, "has its burst, give no other"),
        ({"rate": "2000000/d"}, "a burst of 200,000 at 2000000/d is more than can be counted"),
        ({"speed": 3}, "there is no setting called 'speed'"),
    ],
)
def test_what_no_queue_could_keep_is_refused_in_a_sentence(
    said: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"^queue mail: .*{problem}"):
        declaration("mail", said)  # type: ignore[arg-type]  # what type checkers refuse too


def test_the_largest_burst_that_an_error_names_is_possible() -> None:
    with pytest.raises(ConfigError, match="give a burst below 104,250"):
        declaration("mail", {"rate": "2000000/d"})
    rate = declaration("mail", {"rate": "2000000/d", "burst": 104_249}).rate
    assert rate is not None
    assert rate.burst * rate.cell < MOST_OWED <= (rate.burst + 1) * rate.cell


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="'two words' cannot name a queue"):
        declaration("two words", {})


def test_what_was_changed_wins_over_what_is_declared_and_that_over_the_defaults() -> None:
    declared = declaration("mail", {"concurrency": 5, "rate": "100/m"})
    document = QueueDocument(declared, QueueChanges(concurrency=None, weight=3))
    assert document.effective("mail") == QueueDefinition(
        "mail", weight=3, rate=Rate(100, MINUTE, 10)
    )
    taken_back = QueueDocument(declared, without(document.changed, ["concurrency"]))
    assert taken_back.effective("mail").concurrency == 5
    assert taken_back.changed.said == {"weight": 3}
    assert QueueDocument().effective("mail") == QueueDefinition("mail")


def test_a_document_tells_removed_limits_from_settings_that_were_not_touched() -> None:
    declared = declaration("mail", {"lease": 90, "rate": "100/m", "capacity": 7})
    document = QueueDocument(declared, QueueChanges(rate=None, lease=2 * SECOND))
    assert decode("mail", encode(document)) == document
    assert b'"changed":{"lease":"PT2S","rate":null}' in encode(document)
    with pytest.raises(ConfigError, match="the stored settings of the queue mail cannot be read"):
        decode("mail", b'{"declared": 5}')


def test_what_an_engine_knows_of_a_queue_becomes_changes() -> None:
    definition = QueueDefinition("mail", weight=3, concurrency=2)
    assert unlike_default(definition) == QueueChanges(weight=3, concurrency=2)
