"""Joins the rules and the table into one judgement that says why."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from tidemill_apps.mailroom.headers import Address
from tidemill_apps.mailroom.message import Mail
from tidemill_apps.mailroom.spam.bayes import Table, weigh
from tidemill_apps.mailroom.spam.features import features
from tidemill_apps.mailroom.spam.keywords import Keywords
from tidemill_apps.mailroom.spam.rules import Reason, Standing, rule_reasons

_UNKNOWN: Final = Standing()
# What is said before anything is known: with rules alone, a mail needs three strong ones.
_GOOD_UNTIL_SHOWN: Final = -2.0
_DENIED: Final = 12.0
_NAMED: Final = 8


class FilterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides; `spam.filter` in the configuration is this value.

    `allow` and `deny` hold addresses (`a@b.org`) and domains (`b.org`, which is also `x.b.org`);
    who is on both is allowed. Spam is what reaches `threshold`, a probability: a higher one loses
    fewer good mails and lets more spam through. `rules` weighs the rules' points while there is a
    table, which has seen most of what they look for.
    """

    keywords: Keywords = Keywords()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    threshold: float = 0.6
    rules: float = 0.5


class Verdict(msgspec.Struct, frozen=True):
    """Whether a mail is spam, and why: `score` is the log odds, the sum of the reasons' points."""

    is_spam: bool
    score: float
    probability: float
    reasons: tuple[Reason, ...]


class SpamFilter(msgspec.Struct, frozen=True):
    """Judges mail; a value, so that a worker swaps in a new table by making a new filter."""

    settings: FilterSettings = FilterSettings()
    table: Table | None = None

    def judge(self, mail: Mail, standing: Standing = _UNKNOWN) -> Verdict:
        """Return the verdict on a mail whose sender has this standing; the same every time."""
        if _listed(mail.sender, self.settings.allow):
            reasons: tuple[Reason, ...] = (_of_list(-_DENIED, "allow"),)
        else:
            reasons = tuple(self._reasons(mail, standing))
        score = math.fsum(reason.points for reason in reasons)
        probability = 1 / (1 + math.exp(-score))
        return Verdict(probability >= self.settings.threshold, score, probability, reasons)

    def _reasons(self, mail: Mail, standing: Standing) -> Iterator[Reason]:
        if _listed(mail.sender, self.settings.deny):
            yield _of_list(2 * _DENIED, "deny")
        share = 1.0 if self.table is None else self.settings.rules
        for reason in rule_reasons(mail, self.settings.keywords, standing):
            yield Reason(reason.rule, share * reason.points, reason.fact)
        if self.table is None:
            yield Reason("no table", _GOOD_UNTIL_SHOWN, "mail is good until shown otherwise")
        else:
            evidence = weigh(self.table, features(mail))
            said = ", ".join(feature for feature, _ in evidence.telling[:_NAMED]) or "nothing known"
            yield Reason("learnt", evidence.log_odds, f"most telling: {said}")


def _listed(sender: Address | None, listed: tuple[str, ...]) -> bool:
    if sender is None:
        return False
    named = {each.lower() for each in listed}
    labels = sender.domain.split(".")
    return sender.address in named or any(
        ".".join(labels[at:]) in named for at in range(len(labels))
    )


def _of_list(points: float, name: str) -> Reason:
    return Reason(f"{name} list", points, f"the sender is on the {name} list")
