"""What a mail asks its reader to do."""

import re
from collections.abc import Sequence
from typing import Final

from tidemill_apps.services.text.courtesy import is_boilerplate
from tidemill_apps.services.text.values import ActionItem

_COUNT: Final = 5

_ASKS: Final = re.compile(
    r"""
    \b(?:please|pls|kindly)\b (?! \s(?:note|find|see\sattached|be\sadvised|accept\smy))
    | \b(?:can|could|would|will)\syou\b | \bwould\syou\smind\b
    | \b(?:need|want|ask|expect|remind)(?:s|ed)?\syou\sto\b
    | \byou\s(?:must|need\sto|have\sto)\b
    | \b(?:do\snot|don't)\sforget\b | \bmake\ssure\b | \bremember\sto\b | \blet\s+me\sknow\b
    | ^(?:[-*•]\s)?(?:to[ -]?do|action(?:\sitem)?s?)\s*:
    | 请(?!注意查收|放心|问好|见附件|知悉|客) | 麻烦(?:你|您|大家|各位)? | 烦请
    | 务必 | 记得 | 别忘了 | 不要忘记 | (?:需要|希望|要求|提醒)(?:你|您|大家|各位|你们)
    | (?:能否|可否|能不能|可不可以|是否可以) | 待办[:：]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DEADLINE: Final = re.compile(
    r"""
    \b(?:by|before|until|no\slater\sthan|due(?:\son)?)\s
      (?:(?:the\s)?end\sof\s(?:the\s)?(?:day|week|month|business)
       | (?:next\s|this\s)?(?:mon|tues|wednes|thurs|fri|satur|sun)day
         (?:\s(?:morning|noon|evening))?
       | today | tonight | tomorrow(?:\s(?:morning|noon|evening))? | noon | eod | cob | next\sweek
       | (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s\d{1,2}(?:[snrt][tdh])?
       | \d{1,2}(?:[snrt][tdh])?\s(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*
       | \d{4}-\d\d-\d\d | \d{1,2}(?::\d\d)?\s?(?:am|pm))
    | (?:今天|明天|后天|今晚|本周[一二三四五六日天末]?
       |下?(?:周|星期)[一二三四五六日天]
       |月底|年底|(?:\d{4}年)?(?:\d{1,2}|[一二三四五六七八九十]+)月(?:\d{1,2}|[一二三四五六七八九十]+)[日号]
       |\d{1,2}[日号])
      (?:上午|中午|下午|晚上)?(?:\d{1,2}[点时:：]\d{0,2}|[一二三四五六七八九十]+点)?(?:下班)?
      (?:之前|以前|前|之内|内|截止)
    | asap | as\ssoon\sas\spossible | 尽快
    """,
    re.IGNORECASE | re.VERBOSE,
)


def action_items(sentences: Sequence[str]) -> tuple[ActionItem, ...]:
    """The sentences that ask for something, in order, at most 5, word for word."""
    asked = [
        ActionItem(each, deadline_in(each))
        for each in dict.fromkeys(sentences)
        if _ASKS.search(each) and not is_boilerplate(each)
    ]
    return tuple(asked[:_COUNT])


def deadline_in(sentence: str) -> str | None:
    """The words that say until when, as they stand; None where none do.

    >>> deadline_in("Please sign it by Friday noon."), deadline_in("请于周五下班前提交。")
    ('by Friday noon', '周五下班前')
    """
    match = _DEADLINE.search(sentence)
    return match[0] if match else None
