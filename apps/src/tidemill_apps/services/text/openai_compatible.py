"""Texts understood by a model behind any server that speaks OpenAI's `/v1/chat/completions`."""

import re
from typing import Final, TypeVar

import httpx
import msgspec

from tidemill import Permanent
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.openai_api import Endpoint
from tidemill_apps.services.text.language import language_of
from tidemill_apps.services.text.prompts import (
    EmailAnswer,
    SummaryAnswer,
    email_instructions,
    mail_text,
    repair,
    summary_instructions,
)
from tidemill_apps.services.text.provider import SUMMARY_SENTENCES
from tidemill_apps.services.text.values import (
    EmailAnalysis,
    Language,
    Mail,
    Origin,
    Summary,
    Tokens,
)

Answer = TypeVar("Answer")
_Messages = list[dict[str, str]]

PART_CHARACTERS: Final = 24_000
"""How much of a text is given to the model at once: about 6,000 tokens, 16,000 in Chinese."""

_FENCED: Final = re.compile(r"\s*```(?:json)?\s*(?P<inside>.*?)\s*```\s*", re.DOTALL)


class AIOutputInvalid(Exception):
    """A model's answer was not what was asked, and neither was its correction.

    Models are not the same twice: another attempt may succeed. `code` is for programs.
    """

    code = "ai_output_invalid"


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chat(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...]
    model: str | None = None
    usage: _Usage | None = None


class OpenAIText:
    """A `TextAI` over HTTP. It asks once, and once more to correct an answer that does not fit.

    Whoever made `client` closes it.
    """

    def __init__(self, endpoint: Endpoint, client: httpx.AsyncClient) -> None:
        self._endpoint = endpoint
        self._client = client

    async def analyze_email(self, mail: Mail) -> EmailAnalysis:
        """Give the model the first `PART_CHARACTERS` of the mail."""
        language = language_of(f"{mail.subject}\n{mail.text}")
        told, origin = await self._ask(
            email_instructions(language), mail_text(mail, PART_CHARACTERS), EmailAnswer
        )
        return EmailAnalysis(
            summary=Summary(told.summary, language, origin),
            category=told.category,
            sentiment=told.sentiment,
            sentiment_score=told.sentiment_score,
            urgency=told.urgency,
            action_items=told.action_items,
            keywords=told.keywords,
        )

    async def summarize(
        self, text: str, sentences: int = SUMMARY_SENTENCES, language: Language | None = None
    ) -> Summary:
        """Summarise a text that is too long for the model by the summaries of its parts."""
        language = language or language_of(text)
        tokens = Tokens()
        while len(text) > PART_CHARACTERS:
            starts = range(0, len(text), PART_CHARACTERS)
            parts = [
                await self._summarize(text[start : start + PART_CHARACTERS], sentences, language)
                for start in starts
            ]
            text = "\n".join(part.text for part in parts)[: len(text) // 2]
            tokens = sum((part.origin.tokens for part in parts), tokens)
        summary = await self._summarize(text, sentences, language)
        origin = msgspec.structs.replace(summary.origin, tokens=tokens + summary.origin.tokens)
        return msgspec.structs.replace(summary, origin=origin)

    async def _summarize(self, text: str, sentences: int, language: Language) -> Summary:
        told, origin = await self._ask(
            summary_instructions(sentences, language), text, SummaryAnswer
        )
        return Summary(told.summary[:sentences], language, origin)

    async def _ask(self, instructions: str, text: str, kind: type[Answer]) -> tuple[Answer, Origin]:
        messages = [_message("system", instructions), _message("user", text)]
        chat = await self._chat(messages)
        tokens = _tokens(chat)
        try:
            told = _read(chat, kind)
        except msgspec.DecodeError as mistake:
            messages += [
                _message("assistant", _content(chat)),
                _message("user", repair(str(mistake))),
            ]
            chat = await self._chat(messages)
            tokens += _tokens(chat)
            told = self._corrected(chat, kind)
        endpoint = self._endpoint
        return told, Origin(endpoint.provider, chat.model or endpoint.model, "llm", tokens)

    def _corrected(self, chat: _Chat, kind: type[Answer]) -> Answer:
        try:
            return _read(chat, kind)
        except msgspec.DecodeError as mistake:
            raise AIOutputInvalid(
                f"{self._endpoint.provider} ({self._endpoint.model}) was asked twice and did not "
                f"answer in the form asked for: {mistake}"
            ) from mistake

    async def _chat(self, messages: _Messages) -> _Chat:
        endpoint = self._endpoint
        try:
            response = await self._client.post(
                endpoint.url("chat/completions"),
                headers=endpoint.headers,
                timeout=endpoint.timeouts,
                json={
                    "model": endpoint.model,
                    "messages": messages,
                    "temperature": 0,
                    "response_format": {"type": "json_object"},
                },
            )
        except httpx.TransportError as error:
            raise endpoint.unreachable(error) from error
        chat = endpoint.read(response, _Chat)
        if not chat.choices:
            raise Unavailable(f"{endpoint.provider} answered without any choice", "bad_answer")
        if chat.choices[0].finish_reason == "content_filter":
            raise Permanent(
                f"{endpoint.provider} refuses to answer about this text", code="content_filtered"
            )
        return chat


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _content(chat: _Chat) -> str:
    return chat.choices[0].message.content or ""


def _read(chat: _Chat, kind: type[Answer]) -> Answer:
    content = _content(chat)
    fenced = _FENCED.fullmatch(content)
    return msgspec.json.decode(fenced["inside"] if fenced else content, type=kind)


def _tokens(chat: _Chat) -> Tokens:
    usage = chat.usage or _Usage()
    return Tokens(usage.prompt_tokens, usage.completion_tokens)
