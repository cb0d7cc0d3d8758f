"""What stands in many mails and says nothing about this one."""

import re
from typing import Final

_COURTESY: Final = re.compile(
    r"""
    (?:hi|hello|hey|dear|good\s(?:morning|afternoon|evening))\b[^.!?。]{0,40}
    | (?:many\s)?thanks?\b[^.!?]{0,40}[.!]?
    | (?:(?:kind|best|warm)\s)*(?:regards|wishes)\b.{0,30} | sincerely\b.{0,30} | cheers\b.{0,30}
    | .{0,12}(?:您好|你好|各位好|大家好|早上好|下午好)[。!！]?
    | 谢谢.{0,6} | 多谢.{0,6} | 此致.{0,4} | 敬礼.{0,2} | 祝.{0,10} | 顺祝.{0,8}
    | .{0,60}[,:，：]                                      # who is addressed, or a list's head
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BOILERPLATE: Final = re.compile(
    r"""
    do\snot\sreply | don't\sreply | unsubscribe | click\shere | view\s(?:this|it)\sin
    | (?:questions|help)[^.]*\bcontact | hesitate | environment\sbefore\sprinting
    | intended\srecipient | 请勿(?:直接)?回复 | 退订 | 如有(?:任何)?(?:疑问|问题)
    | 请忽略(?:本|此|该)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_courtesy(sentence: str) -> bool:
    """Whether it is a greeting, thanks or a closing.

    >>> is_courtesy("Dear Tom,"), is_courtesy("祝好"), is_courtesy("Dear prices are over.")
    (True, True, False)
    """
    return _COURTESY.fullmatch(" ".join(sentence.split())) is not None


def is_boilerplate(sentence: str) -> bool:
    """Whether it is about the mail itself: how to unsubscribe, whom not to answer."""
    return _BOILERPLATE.search(sentence) is not None
