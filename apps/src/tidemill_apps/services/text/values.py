"""What is asked of a `TextAI` and what it answers."""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

Language: TypeAlias = Literal["en", "zh"]
Category: TypeAlias = Literal["work", "newsletter", "notification", "personal", "spam"]
Sentiment: TypeAlias = Literal["positive", "neutral", "negative"]
Urgency: TypeAlias = Literal["high", "medium", "low"]

Mode: TypeAlias = Literal["llm", "extractive", "template"]
"""How a text came about: written by a model, taken from the source, or filled into a form."""

_BETWEEN_CHINESE: Final = re.compile(r"(?<=[\u2e80-\uffef]) (?=[\u2e80-\uffef])")


class Tokens(msgspec.Struct, frozen=True):
    """What a model read and wrote, as its provider counted it; both 0 where none was asked."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.prompt + other.prompt, self.completion + other.completion)


class Origin(msgspec.Struct, frozen=True):
    """Who made a result, and how.

    `degraded`: the provider that should have made it was down, and `reason` tells what it said.
    """

    provider: str
    model: str
    mode: Mode
    tokens: Tokens = Tokens()
    degraded: bool = False
    reason: str | None = None


class Mail(msgspec.Struct, frozen=True):
    """What a mail says: its text without markup, and its headers by name in any case."""

    subject: str
    text: str
    headers: Mapping[str, str] = {}


class ActionItem(msgspec.Struct, frozen=True):
    """Something that the reader is asked to do; `deadline` as the mail puts it."""

    text: str
    deadline: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """A text in a few sentences.

    Those of an extractive summary are slices of the text, line breaks and all; `text` is for
    people, with the white space evened out.
    """

    sentences: tuple[str, ...]
    language: Language
    origin: Origin

    @property
    def text(self) -> str:
        """The sentences in one paragraph."""
        return _BETWEEN_CHINESE.sub("", " ".join(" ".join(self.sentences).split()))


class EmailAnalysis(msgspec.Struct, frozen=True):
    """What a mail is about, and what it wants; `sentiment_score` is within -1..1."""

    summary: Summary
    category: Category
    sentiment: Sentiment
    sentiment_score: float
    urgency: Urgency
    action_items: tuple[ActionItem, ...]
    keywords: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        """Who made it, and how."""
        return self.summary.origin
