"""6,046 real mails (make spam): all are read, and the filter keeps its figures on unseen ones."""

import pytest

from apps.tests.mailroom.corpus import Sides, figures_of_original, labelled, samples, sides
from tidemill_apps.mailroom.spam.bayes import english_table
from tidemill_apps.mailroom.spam.filter import SpamFilter
from tidemill_apps.mailroom.spam.training import Labelled, measure, train

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def corpus() -> list[Labelled]:
    return labelled(samples())


@pytest.fixture(scope="module")
def parted(corpus: list[Labelled]) -> Sides:
    return sides(corpus)


def test_every_real_mail_is_read(corpus: list[Labelled]) -> None:
    assert len(corpus) == 6046
    assert sum(not each.mail.message_id for each in corpus) == 1
    assert sum(each.mail.sender is None for each in corpus) <= 2
    assert sum(bool(each.mail.defects) for each in corpus) > 50


def test_the_held_out_side_is_about_thirty_percent_of_either_kind(parted: Sides) -> None:
    for is_spam in (True, False):
        unseen = sum(each.is_spam == is_spam for each in parted.held_out)
        known = sum(each.is_spam == is_spam for each in parted.known)
        assert 0.25 < unseen / (unseen + known) < 0.35


def test_the_filter_finds_95_of_100_spam_mails_and_loses_2_of_100_good_ones(
    parted: Sides,
) -> None:
    figures = measure(SpamFilter(table=train(parted.known)), parted.held_out)
    assert figures.recall >= 0.95
    assert figures.false_positive_rate <= 0.02


def test_the_shipped_table_does_as_well_on_mail_that_it_has_not_seen(parted: Sides) -> None:
    figures = measure(SpamFilter(table=english_table()), parted.held_out)
    assert figures.recall >= 0.95
    assert figures.false_positive_rate <= 0.02


def test_the_replaced_rule_does_much_worse_on_the_same_mails(corpus: list[Labelled]) -> None:
    figures = figures_of_original(corpus)
    assert figures.recall < 0.6
    assert figures.false_positive_rate > 0.08
