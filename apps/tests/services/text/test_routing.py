"""Which provider answers, and what happens while it is down; once with real tasks."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from apps.tests.knowledge.system import running
from apps.tests.services.text.conftest import Break
from apps.tests.services.text.mails import INCIDENT
from tidemill import (
    ConfigError,
    Context,
    Permanent,
    Retry,
    RetryPolicy,
    RetryRule,
    Tidemill,
    fixed,
)
from tidemill.configuration.sections import Ai, Provider, Services
from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.llmsim.wire import CHAT_MODEL
from tidemill_apps.services.text.offline import OfflineText
from tidemill_apps.services.text.openai_compatible import AIOutputInvalid
from tidemill_apps.services.text.routing import (
    AiSettings,
    OutagePolicy,
    RoutedText,
    routed_embedder,
    routed_text,
)


def settings(base_url: str) -> AiSettings:
    """As Tidemill reads them from a file."""
    section = Ai(
        active_services=Services(chat="sim", embedding="vectors"),
        chunk_size=800,
        providers={
            "sim": Provider(base_url=base_url, model=CHAT_MODEL, api_key="key"),
            "vectors": Provider(base_url=base_url, model=SentenceEncoder.model_id),
            "incomplete": Provider(api_key="key"),
        },
    )
    return AiSettings.of(section)


@asynccontextmanager
async def routed(
    base_url: str, offline: OfflineText, policy: OutagePolicy | None = None
) -> AsyncIterator[RoutedText]:
    async with routed_text(settings(base_url), offline, policy) as text:
        yield text


async def test_the_configured_provider_answers(base_url: str, offline: OfflineText) -> None:
    async with routed(base_url, offline) as text:
        summary = await text.for_attempt(1).summarize("All is well.")
    assert (summary.origin.provider, summary.origin.mode) == ("sim", "llm")
    assert not summary.origin.degraded


async def test_without_a_provider_everything_is_done_offline(
    offline: OfflineText, encoder: SentenceEncoder
) -> None:
    async with routed_text(AiSettings(), offline) as text:
        summary = await text.for_attempt(9).summarize("All is well.")
    assert (summary.origin.provider, summary.origin.degraded) == ("offline", False)
    with routed_embedder(AiSettings(), encoder) as embedder:
        assert embedder is encoder


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=429, retry_after=3, times=None), Retry),
        (Fault("status", status=500, times=None), Unavailable),
        (Fault("cut", times=None), Unavailable),
        (Fault("invalid_json", times=None), AIOutputInvalid),
    ],
    ids=lambda each: each.kind if isinstance(each, Fault) else "",
)
async def test_an_outage_is_waited_for_and_then_answered_offline_and_labelled(
    base_url: str,
    break_next: Break,
    offline: OfflineText,
    fault: Fault,
    error: type[Exception],
) -> None:
    break_next(fault)
    async with routed(base_url, offline, OutagePolicy(retries=1)) as text:
        with pytest.raises(error) as raised:
            await text.for_attempt(1).analyze_email(INCIDENT.mail)
        analysis = await text.for_attempt(2).analyze_email(INCIDENT.mail)
        summary = await text.for_attempt(2).summarize(INCIDENT.mail.text)
    for origin in (analysis.origin, summary.origin):
        assert (origin.provider, origin.mode, origin.degraded) == ("offline", "extractive", True)
    assert analysis.origin.reason == str(raised.value)
    assert analysis.summary.sentences == summary.sentences


async def test_a_provider_that_recovers_answers_in_the_last_attempt_too(
    base_url: str, offline: OfflineText
) -> None:
    async with routed(base_url, offline) as text:
        assert not (await text.for_attempt(3).summarize("All is well.")).origin.degraded


async def test_a_policy_that_fails_leaves_the_error_to_the_task(
    base_url: str, break_next: Break, offline: OfflineText
) -> None:
    break_next(Fault("status", status=500))
    async with routed(base_url, offline, OutagePolicy(retries=0, then="fail")) as text:
        with pytest.raises(Unavailable):
            await text.for_attempt(9).summarize("All is well.")


async def test_a_wrong_key_is_never_hidden(
    base_url: str, break_next: Break, offline: OfflineText
) -> None:
    break_next(Fault("status", status=401, code="invalid_api_key"))
    async with routed(base_url, offline) as text:
        with pytest.raises(Permanent):
            await text.for_attempt(9).summarize("All is well.")


async def test_a_task_tries_as_its_policy_says_and_then_says_that_it_degraded(
    base_url: str, break_next: Break, offline: OfflineText, requests_of: Callable[[str], int]
) -> None:
    before = requests_of("chat")
    break_next(Fault("status", status=503, times=None))
    app = Tidemill("memory://")
    policy = RetryPolicy(on={Unavailable: RetryRule(3, fixed(0))})

    @app.task(retry=policy)
    async def summarize_mail(ctx: Context, text: str) -> tuple[bool, str]:
        async with routed(base_url, offline) as ai:
            origin = (await ai.for_attempt(ctx.attempt).summarize(text)).origin
        return origin.degraded, origin.reason or ""

    async with running(app):
        handle = await summarize_mail.enqueue(text="All is well.")
        degraded, reason = await handle.result(timeout=timedelta(seconds=10))
        task = await handle.get()
    assert degraded
    assert "503" in reason
    assert task.attempt == 3
    assert requests_of("chat") - before == 3


def test_the_provider_of_embeddings_is_opened_with_its_own_model(
    base_url: str, encoder: SentenceEncoder
) -> None:
    with routed_embedder(settings(base_url), encoder) as embedder:
        assert embedder is not encoder
        assert (embedder.model_id, embedder.dim) == (encoder.model_id, encoder.dim)


def test_settings_are_read_from_what_tidemill_configured(base_url: str) -> None:
    read = settings(base_url)
    assert read.chunk_size == 800
    endpoint = read.endpoint("chat")
    assert endpoint is not None
    assert (endpoint.provider, endpoint.url("x"), endpoint.api_key) == (
        "sim",
        f"{base_url}/x",
        "key",
    )


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"active_services": {"chat": "nobody"}}, "'nobody', which no provider is"),
        ({"active_services": {"chat": "x"}, "providers": {"x": {}}}, "providers.x has no base_url"),
        (
            {"active_services": {"chat": "x"}, "providers": {"x": {"base_url": "http://x/v1"}}},
            "providers.x has no model",
        ),
        ({"chunk_size": "many"}, "chunk_size"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_place(
    section: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        AiSettings.of(section).endpoint("chat")
