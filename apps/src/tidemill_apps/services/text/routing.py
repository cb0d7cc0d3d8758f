"""Who does what, by the configuration's section `ai`, and what happens while a provider is down."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Literal, TypeAlias, TypeVar

import httpx
import msgspec

from tidemill import ConfigError, Retry
from tidemill_apps.services.embedder import Embedder
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.openai_api import Endpoint
from tidemill_apps.services.openai_embedder import OpenAIEmbedder
from tidemill_apps.services.text.openai_compatible import AIOutputInvalid, OpenAIText
from tidemill_apps.services.text.provider import SUMMARY_SENTENCES, TextAI
from tidemill_apps.services.text.values import EmailAnalysis, Language, Mail, Origin, Summary

OUTAGES = (Retry, Unavailable, AIOutputInvalid)
"""Errors of a provider that may pass. A wrong key is none: hiding it would help nobody."""

Answer = TypeVar("Answer")
Service: TypeAlias = Literal["chat", "embedding"]


class ActiveServices(msgspec.Struct, frozen=True):
    """Which provider does what, by name; None is done offline."""

    chat: str | None = None
    embedding: str | None = None


class Provider(msgspec.Struct, frozen=True):
    """How one provider is reached; `embedding_model` is for one that does both services."""

    api_key: str | None = None
    base_url: str | None = None
    model: str | None = None
    embedding_model: str | None = None

    def model_for(self, service: Service) -> str | None:
        """The model that does a service."""
        return (self.embedding_model if service == "embedding" else None) or self.model


class AiSettings(msgspec.Struct, frozen=True):
    """The section `ai` of a configuration; `chunk_size` in characters is for whoever embeds."""

    active_services: ActiveServices = ActiveServices()
    chunk_size: int = 1000
    providers: dict[str, Provider] = {}

    @classmethod
    def of(cls, section: object) -> "AiSettings":
        """Read a mapping, or any value with these attributes; raises `ConfigError`."""
        try:
            return msgspec.convert(section, cls, from_attributes=True)
        except msgspec.ValidationError as error:
            raise ConfigError(f"ai: {error}") from error

    def endpoint(self, service: Service) -> Endpoint | None:
        """Where a service is, None where it is done offline; raises `ConfigError`."""
        name: str | None = getattr(self.active_services, service)
        if name is None:
            return None
        provider = self.providers.get(name)
        if provider is None:
            raise ConfigError(f"ai.active_services.{service} is {name!r}, which no provider is")
        model = provider.model_for(service)
        for needed, given in (("base_url", provider.base_url), ("model", model)):
            if not given:
                raise ConfigError(
                    f"ai.providers.{name} has no {needed}, and ai.active_services.{service} asks "
                    f"for it: give it one, or leave {service} out to work offline"
                )
        return Endpoint(name, provider.base_url or "", model or "", provider.api_key)


class OutagePolicy(msgspec.Struct, frozen=True):
    """What a task does while its provider is down: `retries` attempts more, then this.

    `degrade` answers offline and says so, `fail` leaves the error to the task. The task's own
    retry policy must allow `retries` + 1 attempts, and decides when they come. A provider that has
    not answered after `patience` counts as down: keep it below the task's time limit.
    """

    retries: int = 2
    then: Literal["degrade", "fail"] = "degrade"
    patience: timedelta | None = None

    def degrades(self, attempt: int) -> bool:
        """Whether this attempt (1-based) is the one that no longer waits for the provider."""
        return self.then == "degrade" and attempt > self.retries


class RoutedText:
    """The provider of the configuration, with a substitute that is always there."""

    def __init__(self, main: TextAI, substitute: TextAI, policy: OutagePolicy) -> None:
        self._main = main
        self._substitute = substitute
        self._policy = policy

    def for_attempt(self, attempt: int) -> TextAI:
        """Who answers in this attempt of a task: pass `ctx.attempt`."""
        if self._main is self._substitute or not self._policy.degrades(attempt):
            return self._main
        return _Degrading(self._main, self._substitute)


class _Impatient:
    """A `TextAI` that is `Unavailable` when another one takes too long."""

    def __init__(self, provider: str, slow: TextAI, patience: timedelta) -> None:
        self._provider = provider
        self._slow = slow
        self._patience = patience

    async def analyze_email(self, mail: Mail) -> EmailAnalysis:
        return await self._within(self._slow.analyze_email(mail))

    async def summarize(
        self, text: str, sentences: int = SUMMARY_SENTENCES, language: Language | None = None
    ) -> Summary:
        return await self._within(self._slow.summarize(text, sentences, language))

    async def _within(self, answer: Awaitable[Answer]) -> Answer:
        seconds = self._patience.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise Unavailable(
                f"{self._provider} did not answer within {seconds:g} s", "too_slow"
            ) from error


class _Degrading:
    """A `TextAI` that asks the substitute when the main one is down, and labels the answer."""

    def __init__(self, main: TextAI, substitute: TextAI) -> None:
        self._main = main
        self._substitute = substitute

    async def analyze_email(self, mail: Mail) -> EmailAnalysis:
        try:
            return await self._main.analyze_email(mail)
        except OUTAGES as outage:
            analysis = await self._substitute.analyze_email(mail)
            summary = _labelled(analysis.summary, outage)
            return msgspec.structs.replace(analysis, summary=summary)

    async def summarize(
        self, text: str, sentences: int = SUMMARY_SENTENCES, language: Language | None = None
    ) -> Summary:
        try:
            return await self._main.summarize(text, sentences, language)
        except OUTAGES as outage:
            return _labelled(await self._substitute.summarize(text, sentences, language), outage)


def _labelled(summary: Summary, outage: Exception) -> Summary:
    origin: Origin = msgspec.structs.replace(summary.origin, degraded=True, reason=str(outage))
    return msgspec.structs.replace(summary, origin=origin)


@asynccontextmanager
async def routed_text(
    settings: AiSettings, offline: TextAI, policy: OutagePolicy | None = None
) -> AsyncIterator[RoutedText]:
    """Open the way to the provider of `chat`; a resource of the process that runs the tasks."""
    policy = policy or OutagePolicy()
    endpoint = settings.endpoint("chat")
    if endpoint is None:
        yield RoutedText(offline, offline, policy)
        return
    async with httpx.AsyncClient() as client:
        main: TextAI = OpenAIText(endpoint, client)
        if policy.patience is not None:
            main = _Impatient(endpoint.provider, main, policy.patience)
        yield RoutedText(main, offline, policy)


@contextmanager
def routed_embedder(settings: AiSettings, offline: Embedder) -> Iterator[Embedder]:
    """Open the way to the provider of `embedding`.

    There is no substitute for it: vectors of two models cannot be compared.
    """
    endpoint = settings.endpoint("embedding")
    if endpoint is None:
        yield offline
        return
    with httpx.Client() as client:
        yield OpenAIEmbedder(endpoint, client)
