"""Learns a table from labelled mail, and publishes it only if it judges no worse than the last."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeAlias

import msgspec

from tidemill_apps.mailroom.message import Mail
from tidemill_apps.mailroom.spam.bayes import Table, weigh
from tidemill_apps.mailroom.spam.features import features, names_somebody
from tidemill_apps.mailroom.spam.filter import SpamFilter
from tidemill_apps.mailroom.spam.split import groups, held_out, place

LEAST_LABELS: Final = 50
_FOLDS: Final = 5
_SEEN_AT_LEAST: Final = 2
_SHARED_SEEN_AT_LEAST: Final = 8
# One good mail lost costs as much as this many spam mails read (Androutsopoulos et al., 2000).
_FALSE_ALARM: Final = 9
_STEPS: Final = 30
_PULL: Final = 1e-3
_LEAST_SCALE: Final = 1e-6


class TooFewLabels(Exception):
    """There is too little labelled mail to learn from; the text says how much is needed."""


class Labelled(msgspec.Struct, frozen=True):
    """A mail, and whether its reader called it spam."""

    mail: Mail
    is_spam: bool


class Figures(msgspec.Struct, frozen=True):
    """How a filter did on labelled mail: how much there was, and how much of it was called spam."""

    spam: int
    ham: int
    spam_found: int
    false_alarms: int

    @property
    def recall(self) -> float:
        """The share of the spam that was found; 1 if there was none."""
        return self.spam_found / self.spam if self.spam else 1.0

    @property
    def false_positive_rate(self) -> float:
        """The share of the good mail that was called spam; 0 if there was none."""
        return self.false_alarms / self.ham if self.ham else 0.0

    @property
    def cost(self) -> int:
        """Spam mails let through, and nine for each good mail called spam."""
        return self.spam - self.spam_found + _FALSE_ALARM * self.false_alarms


class Trial(msgspec.Struct, frozen=True):
    """The outcome of a training: the filter to use from now on, and on what that was decided.

    `former` is how the filter in use did on the same held-out mails.
    """

    chosen: SpamFilter
    published: bool
    figures: Figures
    former: Figures
    features: int


Learn: TypeAlias = Callable[[Sequence[Labelled]], Table]
"""Makes a table of labelled mail."""


def retrain(labels: Sequence[Labelled], current: SpamFilter, learn: Learn | None = None) -> Trial:
    """Learn from 70 % of the labels and compare with the current filter on the other 30 %.

    The new table is published unless its `cost` there is higher than the current one's. `learn`
    makes it: `train`, or `train_shared` where others than the labels' readers will use it. Raises
    `TooFewLabels` below 50, or when either side lacks spam or good mail.
    """
    if len(labels) < LEAST_LABELS:
        raise TooFewLabels(f"{len(labels)} labelled mails; at least {LEAST_LABELS} are needed")
    aside = held_out([each.mail for each in labels])
    known = [each for index, each in enumerate(labels) if index not in aside]
    unknown = [labels[index] for index in sorted(aside)]
    for side, name in ((known, "train on"), (unknown, "validate on")):
        if len({each.is_spam for each in side}) < 2:
            raise TooFewLabels(f"the mails to {name} need both spam and good mail")
    candidate = msgspec.structs.replace(current, table=(learn or train)(known))
    figures, former = measure(candidate, unknown), measure(current, unknown)
    published = figures.cost <= former.cost
    return Trial(
        chosen=candidate if published else current,
        published=published,
        figures=figures,
        former=former,
        features=len(candidate.table.counts) if candidate.table is not None else 0,
    )


def measure(judge: SpamFilter, labels: Collection[Labelled]) -> Figures:
    """Return how a filter does on labelled mail; of no sender's standing is anything known."""
    called = Counter((each.is_spam, judge.judge(each.mail).is_spam) for each in labels)
    return Figures(
        spam=called[True, True] + called[True, False],
        ham=called[False, True] + called[False, False],
        spam_found=called[True, True],
        false_alarms=called[False, True],
    )


def train(labels: Sequence[Labelled]) -> Table:
    """Return the table that these mails give; features seen only once are left out.

    Its scale and offset are fitted (Platt, 1999) to what five tables say of the mails that each
    has not seen, near-duplicates being unseen together.
    """
    shown = [features(each.mail) for each in labels]
    return _trained(labels, shown, _SEEN_AT_LEAST)


def train_shared(labels: Sequence[Labelled]) -> Table:
    """Return a table for other people's mail: without what names anybody, and what is rare."""
    shown = [
        frozenset(each for each in features(label.mail) if not names_somebody(each))
        for label in labels
    ]
    return _trained(labels, shown, _SHARED_SEEN_AT_LEAST)


def _trained(labels: Sequence[Labelled], shown: Sequence[frozenset[str]], at_least: int) -> Table:
    folds = _folds([each.mail for each in labels])
    said: list[tuple[float, bool]] = []
    for fold in range(_FOLDS):
        known = [index for index, of in enumerate(folds) if of != fold]
        table = _count(labels, shown, known, at_least)
        said += [
            (weigh(table, shown[index]).summed, labels[index].is_spam)
            for index, of in enumerate(folds)
            if of == fold
        ]
    scale, offset = fitted(said)
    whole = _count(labels, shown, range(len(labels)), at_least)
    return msgspec.structs.replace(whole, scale=scale, offset=offset)


def fitted(said: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Return the scale and the offset that make these sums the log odds of their answers.

    Logistic regression in one variable by Newton's method; a weak pull towards 0 keeps the scale
    finite when the sums tell the two apart without a fault.
    """
    scale, offset = 0.0, 0.0
    for _ in range(_STEPS):
        slope_s, slope_o, curve_ss, curve_so, curve_oo = -_PULL * scale, 0.0, _PULL, 0.0, _PULL
        for summed, is_spam in said:
            share = 1 / (1 + math.exp(-max(-30.0, min(30.0, scale * summed + offset))))
            missing, spread = is_spam - share, share * (1 - share)
            slope_s += missing * summed
            slope_o += missing
            curve_ss += spread * summed * summed
            curve_so += spread * summed
            curve_oo += spread
        determinant = curve_ss * curve_oo - curve_so * curve_so
        scale += (slope_s * curve_oo - slope_o * curve_so) / determinant
        offset += (slope_o * curve_ss - slope_s * curve_so) / determinant
    return (scale, offset) if scale > 0 else (_LEAST_SCALE, 0.0)


def _folds(mails: Sequence[Mail]) -> list[int]:
    """Return the fold of each mail; near-duplicates share one."""
    folds = [0] * len(mails)
    for members in groups(mails):
        name = min(mails[member].digest for member in members)
        for member in members:
            folds[member] = int(_FOLDS * place(f"fold {name}"))
    return folds


def _count(
    labels: Sequence[Labelled],
    shown: Sequence[frozenset[str]],
    inside: Collection[int],
    at_least: int,
) -> Table:
    spam: Counter[str] = Counter()
    ham: Counter[str] = Counter()
    for index in inside:
        (spam if labels[index].is_spam else ham).update(shown[index])
    return Table(
        spam=sum(labels[index].is_spam for index in inside),
        ham=sum(not labels[index].is_spam for index in inside),
        counts={
            feature: (spam[feature], ham[feature])
            for feature in spam.keys() | ham.keys()
            if spam[feature] + ham[feature] >= at_least
        },
    )
