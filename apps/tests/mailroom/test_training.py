"""Tables: learning them, keeping them, and replacing one only by one that is no worse."""

import json
import math
import random
from pathlib import Path

import msgspec
import pytest

from apps.tests.mailroom.mails import small_corpus
from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.spam.bayes import (
    Table,
    TableInvalid,
    load_table,
    save_table,
    weigh,
)
from tidemill_apps.mailroom.spam.features import names_somebody
from tidemill_apps.mailroom.spam.filter import SpamFilter
from tidemill_apps.mailroom.spam.split import groups, held_out
from tidemill_apps.mailroom.spam.training import (
    Figures,
    Labelled,
    TooFewLabels,
    fitted,
    measure,
    retrain,
    train,
    train_shared,
)

LABELS = small_corpus()
TABLE = Table(spam=10, ham=30, counts={"prize": (8, 1), "wheel": (0, 20), "the": (10, 30)})


def turned(labels: list[Labelled]) -> list[Labelled]:
    return [Labelled(each.mail, not each.is_spam) for each in labels]


def test_a_feature_of_spam_counts_for_it_and_one_of_both_says_nothing() -> None:
    evidence = weigh(TABLE, {"prize", "wheel", "the", "unheard"})
    weights = dict(evidence.telling)
    assert weights["prize"] > 0 > weights["wheel"]
    assert weights.keys() == {"prize", "wheel"}
    assert evidence.log_odds == pytest.approx(sum(weights.values()))


def test_an_empty_table_says_nothing_of_any_mail() -> None:
    assert weigh(Table(spam=0, ham=0, counts={}), {"prize"}).log_odds == 0


def test_training_learns_to_tell_spam_that_it_has_not_seen() -> None:
    trial = retrain(LABELS, SpamFilter())
    assert trial.published
    assert trial.chosen.table is not None
    assert len(trial.chosen.table.counts) == trial.features
    assert trial.figures.recall > 0.9
    assert trial.figures.false_positive_rate < 0.1
    assert trial.former.recall < trial.figures.recall


def test_a_table_learnt_from_wrong_labels_is_not_published() -> None:
    current = SpamFilter(table=train(LABELS))
    aside = held_out([each.mail for each in LABELS])
    poisoned = [each if index in aside else turned([each])[0] for index, each in enumerate(LABELS)]
    trial = retrain(poisoned, current)
    assert not trial.published
    assert trial.chosen == current
    assert trial.figures.cost > trial.former.cost


def test_training_again_on_the_same_labels_gives_the_same_table() -> None:
    shuffled = random.Random(1).sample(LABELS, len(LABELS))
    first, second = train(LABELS), train(shuffled)
    assert first.counts == second.counts
    assert math.isclose(first.scale, second.scale)


def test_too_few_labels_are_refused_with_the_number_needed() -> None:
    with pytest.raises(TooFewLabels, match="49 labelled mails; at least 50"):
        retrain(LABELS[:49], SpamFilter())
    with pytest.raises(TooFewLabels, match="both spam and good"):
        retrain([each for each in LABELS if not each.is_spam], SpamFilter())


def test_a_false_alarm_costs_as_much_as_nine_missed_spam_mails() -> None:
    figures = Figures(spam=20, ham=40, spam_found=15, false_alarms=2)
    assert figures.cost == 5 + 18
    assert (figures.recall, figures.false_positive_rate) == (0.75, 0.05)
    nothing = measure(SpamFilter(), [])
    assert (nothing.recall, nothing.false_positive_rate, nothing.cost) == (1, 0, 0)


def test_a_table_to_share_names_nobody() -> None:
    assert any(names_somebody(feature) for feature in train(LABELS).counts)
    assert not any(names_somebody(feature) for feature in train_shared(LABELS).counts)


def test_a_table_comes_back_from_its_file_and_leaves_no_other(tmp_path: Path) -> None:
    table = train(LABELS)
    path = tmp_path / "table.json"
    save_table(TABLE, path)
    save_table(table, path)
    assert load_table(path) == table
    assert [file.name for file in tmp_path.iterdir()] == ["table.json"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"counts": {"prize": [11, 0]}}, "'prize' exceed"),
        ({"spam": -1}, "negative"),
        ({"scale": 0}, "scale must be"),
        ({"format": "other"}, "format"),
        ({"counts": {"prize": "many"}}, "counts"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(
    tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(msgspec.to_builtins(TABLE) | changed))
    with pytest.raises(TableInvalid, match=rf"table\.json is no spam table.*{why}"):
        load_table(path)


def test_a_fit_gives_sums_their_true_odds() -> None:
    chance = random.Random(3)
    sums = [chance.uniform(-40, 40) for _ in range(4000)]
    said = [(each, chance.random() < 1 / (1 + math.exp(-(0.1 * each + 0.5)))) for each in sums]
    scale, offset = fitted(said)
    assert scale == pytest.approx(0.1, rel=0.15)
    assert offset == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("said", [[], [(5.0, True), (-5.0, False)], [(5.0, False), (-5.0, True)]])
def test_a_fit_of_few_or_contradicting_answers_is_still_a_table(
    said: list[tuple[float, bool]],
) -> None:
    scale, offset = fitted(said)
    assert Table(spam=1, ham=1, counts={}, scale=scale, offset=offset).scale > 0


def test_copies_that_differ_in_a_word_or_a_number_stand_on_one_side() -> None:
    text = " ".join(f"word{letter}{other}" for letter in "abcdefgh" for other in "stuvwxyz")
    copies = [
        parse_mail(f"Subject: offer {number}\n\n{text} {number}\n\nRef {number * 7}".encode())
        for number in range(20)
    ]
    mails = [each.mail for each in LABELS] + copies
    together = max(groups(mails), key=len)
    assert set(together) == set(range(len(LABELS), len(mails)))
    assert len(held_out(mails) & set(together)) in {0, len(copies)}


def test_the_side_of_a_mail_depends_on_nothing_but_the_mails() -> None:
    mails = [each.mail for each in LABELS]
    turned_round = mails[::-1]
    forth = {mails[index].digest for index in held_out(mails)}
    assert forth == {turned_round[index].digest for index in held_out(turned_round)}
    assert 0.2 < len(forth) / len(mails) < 0.4
    few = mails[:60]
    assert {few[index].digest for index in held_out(few)} == forth & {each.digest for each in few}
