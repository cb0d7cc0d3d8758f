"""What is found out about a mail: decided here, purely, of what the filter and the AI said."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from tidemill_apps.mailroom.message import Mail
from tidemill_apps.mailroom.spam.filter import Verdict
from tidemill_apps.mailroom.spam.rules import Reason
from tidemill_apps.services.text import values as text
from tidemill_apps.services.text.language import language_of

ANALYZER_VERSION: Final = 1
"""Rises when the same mail would be analysed otherwise: older analyses are made again then."""

_NAMED: Final = 3
_FILTER: Final = text.Origin("mailroom", "spam filter", "template")
_CHINESE_RULES: Final = {
    "subject": "主题含有可疑词语",
    "body": "正文含有可疑词语",
    "too short": "正文过短",
    "too long": "正文过长",
    "page only": "只有网页而没有纯文本",
    "form": "含有要填写的表单",
    "hidden text": "含有隐藏的文字",
    "bare address": "链接指向数字地址",
    "misleading link": "链接会误导人",
    "shouting": "主题用词夸张",
    "sender": "发件人信息不完整",
    "reputation": "该发件人以前发过垃圾邮件",
    "learnt": "与已知的垃圾邮件相似",
    "deny list": "发件人在拒收名单上",
    "label": "您把它标为垃圾邮件",
}

Part: TypeAlias = Literal["contact", "contexts", "index"]


class Warned(msgspec.Struct, frozen=True):
    """What could not be done with a mail that was analysed all the same, and why."""

    part: Part
    text: str


class Spam(msgspec.Struct, frozen=True):
    """What the spam filter says: a probability within 0..1, and the reasons with their points."""

    is_spam: bool
    probability: float
    reasons: tuple[Reason, ...]


class Analysis(msgspec.Struct, frozen=True):
    """What a mail says, is and wants; `summary` has one sentence on a line.

    `sentiment_score` is within -1..1.
    """

    category: text.Category
    sentiment: text.Sentiment
    sentiment_score: float
    urgency: text.Urgency
    summary: str
    language: text.Language
    action_items: tuple[text.ActionItem, ...] = ()
    keywords: tuple[str, ...] = ()


class Findings(msgspec.Struct, frozen=True):
    """All that is known of one mail, and who found it out."""

    analysis: Analysis
    spam: Spam
    origin: text.Origin


def judged(verdict: Verdict) -> Spam:
    """The verdict as it is kept."""
    return Spam(verdict.is_spam, verdict.probability, verdict.reasons)


def of_spam(mail: Mail, spam: Spam) -> Findings:
    """What is known of a mail that nobody needs to read: why it is spam."""
    language = language_of(f"{mail.subject}\n{mail.text}")
    analysis = Analysis(
        category="spam",
        sentiment="neutral",
        sentiment_score=0.0,
        urgency="low",
        summary=_why(spam, language),
        language=language,
    )
    return Findings(analysis, spam, _FILTER)


def of_mail(told: text.EmailAnalysis, spam: Spam) -> Findings:
    """What the AI told of a mail that is none."""
    analysis = Analysis(
        category=told.category,
        sentiment=told.sentiment,
        sentiment_score=told.sentiment_score,
        urgency=told.urgency,
        summary="\n".join(_even(each) for each in told.summary.sentences),
        language=told.summary.language,
        action_items=told.action_items,
        keywords=told.keywords,
    )
    return Findings(analysis, spam, told.origin)


def readable(mail: Mail) -> text.Mail:
    """The mail as a `TextAI` reads it."""
    headers = dict(mail.headers)
    if mail.sender is not None:
        headers["from"] = f"{mail.sender.name} <{mail.sender.address}>"
    if mail.answers:
        headers["references"] = " ".join(mail.answers)
    return text.Mail(mail.subject, mail.text, headers)


def without(warnings: Sequence[Warned], part: Part) -> tuple[Warned, ...]:
    """The warnings that are left when this part has been done after all."""
    return tuple(each for each in warnings if each.part != part)


def _why(spam: Spam, language: text.Language) -> str:
    against = sorted(spam.reasons, key=lambda each: -each.points)[:_NAMED]
    named = [each for each in against if each.points > 0]
    if language == "zh":
        rules = dict.fromkeys(_CHINESE_RULES.get(each.rule, each.fact) for each in named)
        return f"自动识别为垃圾邮件：{'；'.join(rules) or f'概率 {spam.probability:.0%}'}"
    facts = dict.fromkeys(each.fact for each in named)
    return f"Auto-detected as spam: {'; '.join(facts) or f'probability {spam.probability:.0%}'}"


def _even(sentence: str) -> str:
    return " ".join(sentence.split())
