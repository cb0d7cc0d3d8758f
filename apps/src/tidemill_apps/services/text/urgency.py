"""How soon a mail wants to be read."""

import re
from typing import Final

from tidemill_apps.services.text.headers import header
from tidemill_apps.services.text.values import Category, Mail, Urgency

_HIGH: Final = re.compile(
    r"""
    \b(?:urgent(?:ly)?|asap|immediate(?:ly)?|right\saway|emergency|critical|time[- ]sensitive
    | as\ssoon\sas\spossible | (?:production|server|site|service|system|api)\s(?:is|went)\sdown
    | outage | by\s(?:today|tonight|noon|eod|cob|(?:the\s)?end\sof\s(?:the\s)?(?:day|business))
    | overdue | final\s(?:notice|reminder))\b
    | 紧急|加急|特急|十万火急|马上|立即|立刻|即刻|尽快|火速|今天(?:之内|内|下班|晚上|之?前)
    | 今晚(?:之?前)|逾期|宕机|瘫痪|服务中断|最后(?:通知|提醒|期限)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NOT_HIGH: Final = re.compile(
    r"\b(?:not|isn't|nothing|no)\s+(?:\w+\s+)?(?:urgent|critical|emergency)\b"
    r"|\bno\s+rush\b|不(?:是很|太|着)?(?:紧急|急)|并不紧急|不用(?:马上|立即|立刻)",
    re.IGNORECASE,
)
_MEDIUM: Final = re.compile(
    r"""
    \b(?:deadline|due|reminder|important|action\srequired|please\s(?:reply|respond|confirm)
    | by\s(?:tomorrow|next\sweek|(?:mon|tues|wednes|thurs|fri|satur|sun)day|\d{1,2}[ :/.]))\b
    | (?:this|next)\sweek\b
    | 截止|期限|提醒|重要|请(?:回复|确认|答复)|本周|下周|明天
    | (?:周|星期)[一二三四五六日天](?:之?前|下班)
    | [\d一二三四五六七八九十]+[日号](?:之?前)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def urgency_of(mail: Mail, text: str, category: Category) -> Urgency:
    """By the sender's own mark, else by the words of the subject and `text`.

    The loud words of newsletters and spam are not believed.
    """
    if category in {"newsletter", "spam"}:
        return "low"
    mark = header(mail.headers, "X-Priority")[:1], header(mail.headers, "Importance")
    if mark[0] in {"1", "2"} or mark[1] == "high":
        return "high"
    if mark[0] in {"4", "5"} or mark[1] == "low":
        return "low"
    said = _NOT_HIGH.sub(" ", f"{mail.subject}\n{text}")
    if _HIGH.search(said):
        return "high"
    return "medium" if _MEDIUM.search(said) else "low"
