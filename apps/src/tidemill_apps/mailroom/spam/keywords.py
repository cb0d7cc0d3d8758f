"""The words that a rule may look for, in English and in Chinese."""

from collections.abc import Mapping
from typing import Final

import msgspec

SUBJECT: Final[Mapping[str, float]] = {
    "100% free": 1.5,
    "act now": 1.5,
    "adult": 1.0,
    "buy now": 1.0,
    "cash": 0.8,
    "casino": 1.5,
    "congratulations": 1.0,
    "credit": 0.8,
    "earn money": 1.5,
    "free": 0.5,
    "guaranteed": 1.0,
    "limited time": 1.5,
    "lose weight": 1.5,
    "make money": 1.5,
    "mortgage": 2.0,
    "prize": 1.0,
    "promotion": 0.5,
    "urgent assistance": 1.5,
    "verify your account": 1.5,
    "verify your email": 0.8,
    "viagra": 2.0,
    "winner": 1.0,
    "xxx": 2.0,
    "中奖": 2.0,
    "代开发票": 3.0,
    "优惠促销": 1.0,
    "免费领取": 2.0,
    "兼职": 1.0,
    "发票": 1.5,
    "恭喜您": 1.5,
    "特价": 1.0,
    "贷款": 1.5,
    "赌场": 2.0,
}
"""Points of words in a subject: what stands there was chosen to be read first."""

BODY: Final[Mapping[str, float]] = {
    "100% free": 0.8,
    "act now": 0.8,
    "bank account": 0.5,
    "click here": 0.5,
    "click below": 1.0,
    "credit card debt": 1.0,
    "dear friend": 1.0,
    "earn extra": 0.8,
    "financial freedom": 1.0,
    "limited time offer": 1.0,
    "mlm": 0.5,
    "money back guarantee": 0.8,
    "no obligation": 1.5,
    "risk free": 0.8,
    "this is not spam": 1.5,
    "to be removed": 1.5,
    "we apologize for any inconvenience": 0.3,
    "work from home": 0.8,
    "加微信": 1.0,
    "加我微信": 1.5,
    "包邮": 0.5,
    "发票": 1.0,
    "日赚": 1.5,
    "点击领取": 1.5,
    "点击链接": 0.8,
    "稳赚": 1.5,
    "限时优惠": 0.8,
    "高薪": 0.8,
}
"""Points of words in a text."""


class Keywords(msgspec.Struct, frozen=True):
    """Words and their points (log odds), each found once, whatever its case.

    An operator's words replace these; `spam.filter.keywords` in the configuration is this value.
    """

    subject: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(SUBJECT))
    body: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(BODY))
