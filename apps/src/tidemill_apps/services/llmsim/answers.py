"""What the simulated model says: the offline `TextAI`, in the form that was asked for."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill_apps.services.llmsim.wire import Message
from tidemill_apps.services.text.prompts import TASK_LINE, EmailAnswer, SummaryAnswer
from tidemill_apps.services.text.provider import TextAI
from tidemill_apps.services.text.values import Mail

NOTHING: Final = "There is nothing to say about that."
INVALID: Final = 'Certainly! Here is what you asked for: {"summary": ["'


async def chat_answer(messages: Sequence[Message], text: TextAI) -> str:
    """The next message of the conversation.

    Instructions of `text.prompts` are answered in their form. Whatever else is said is summarised.
    """
    instructions = next((each.text for each in messages if each.role == "system"), "")
    said = [each.text for each in messages if each.role == "user"]
    first_line = instructions.partition("\n")[0]
    if said and first_line == f"{TASK_LINE}analyze_email":
        return await _email(said[0], text)
    if said and first_line == f"{TASK_LINE}summarize":
        sentences = (await text.summarize(said[0])).sentences or (NOTHING,)
        return msgspec.json.encode(SummaryAnswer(_cut(sentences))).decode()
    return (await text.summarize(said[-1] if said else "")).text or NOTHING


async def _email(said: str, text: TextAI) -> str:
    subject, _, body = said.removeprefix("Subject: ").partition("\n\n")
    analysis = await text.analyze_email(Mail(subject, body))
    answer = EmailAnswer(
        summary=_cut(analysis.summary.sentences or (subject or NOTHING,)),
        category=analysis.category,
        sentiment=analysis.sentiment,
        sentiment_score=analysis.sentiment_score,
        urgency=analysis.urgency,
        action_items=analysis.action_items,
        keywords=tuple(keyword[:60] for keyword in analysis.keywords),
    )
    return msgspec.json.encode(answer).decode()


def _cut(sentences: Sequence[str]) -> tuple[str, ...]:
    """As a model that was told the longest length would write them."""
    return tuple(" ".join(each.split())[:600] for each in sentences)
