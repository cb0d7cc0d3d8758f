"""A model behind HTTP: what is asked, what is made of its answers and of its failures."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from apps.tests.services.text.conftest import Break
from apps.tests.services.text.mails import ALL, INCIDENT, ZH_INCIDENT, Sample
from tidemill import ConfigError, Permanent, Retry
from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.llmsim.running import llmsim
from tidemill_apps.services.llmsim.wire import CHAT_MODEL
from tidemill_apps.services.openai_api import Endpoint
from tidemill_apps.services.text.offline import OfflineText
from tidemill_apps.services.text.openai_compatible import (
    PART_CHARACTERS,
    AIOutputInvalid,
    OpenAIText,
)
from tidemill_apps.services.text.values import EmailAnalysis


@asynccontextmanager
async def asking(
    base_url: str, model: str = CHAT_MODEL, api_key: str | None = None, timeout: float = 10
) -> AsyncIterator[OpenAIText]:
    async with httpx.AsyncClient() as client:
        yield OpenAIText(Endpoint("sim", base_url, model, api_key, timeout), client)


async def analyzed(base_url: str, timeout: float = 10) -> EmailAnalysis:
    async with asking(base_url, timeout=timeout) as text:
        return await text.analyze_email(INCIDENT.mail)


@pytest.mark.parametrize("sample", ALL, ids=lambda each: each.name)
async def test_a_mail_is_analysed_by_the_model(
    base_url: str, offline: OfflineText, sample: Sample
) -> None:
    async with asking(base_url) as text:
        analysis = await text.analyze_email(sample.mail)
    assert sample.says in analysis.summary.text
    assert analysis.sentiment == sample.sentiment
    origin = analysis.origin
    assert (origin.provider, origin.model, origin.mode) == ("sim", CHAT_MODEL, "llm")
    assert origin.tokens.prompt > 0
    assert origin.tokens.completion > 0
    expected = await offline.analyze_email(sample.mail)
    assert analysis.action_items == expected.action_items


async def test_a_text_longer_than_the_model_reads_is_summarised_in_parts(
    base_url: str, requests_of: Callable[[str], int]
) -> None:
    before = requests_of("chat")
    text = (ZH_INCIDENT.mail.text * (3 * PART_CHARACTERS // len(ZH_INCIDENT.mail.text)))[:-1]
    assert 2 * PART_CHARACTERS < len(text) < 3 * PART_CHARACTERS
    async with asking(base_url) as ai:
        summary = await ai.summarize(text, 2)
    assert requests_of("chat") - before == 4
    assert 1 <= len(summary.sentences) <= 2
    assert summary.origin.tokens.prompt > len(text.encode()) // 4


async def test_an_answer_that_is_no_json_is_corrected_once(
    base_url: str, break_next: Break, requests_of: Callable[[str], int]
) -> None:
    before = requests_of("chat")
    break_next(Fault("invalid_json"))
    analysis = await analyzed(base_url)
    assert analysis.origin.mode == "llm"
    assert requests_of("chat") - before == 2
    once = await analyzed(base_url)
    assert analysis.origin.tokens.prompt > 2 * once.origin.tokens.prompt


async def test_an_answer_that_stays_wrong_is_refused(
    base_url: str, break_next: Break, requests_of: Callable[[str], int]
) -> None:
    before = requests_of("chat")
    break_next(Fault("invalid_json", times=2))
    with pytest.raises(AIOutputInvalid, match=r"sim \(llmsim-chat\) was asked twice"):
        await analyzed(base_url)
    assert requests_of("chat") - before == 2


async def test_a_full_provider_is_asked_again_when_it_says(
    base_url: str, break_next: Break, requests_of: Callable[[str], int]
) -> None:
    before = requests_of("chat")
    break_next(Fault("status", status=429, code="rate_limit_exceeded", retry_after=7))
    with pytest.raises(Retry, match="sim answered 429") as raised:
        await analyzed(base_url)
    assert raised.value.after == timedelta(seconds=7)
    assert requests_of("chat") - before == 1, "it tries nothing again by itself"


async def test_an_account_without_money_is_not_asked_again(
    base_url: str, break_next: Break
) -> None:
    break_next(Fault("status", status=429, code="insufficient_quota", retry_after=7))
    with pytest.raises(Permanent) as raised:
        await analyzed(base_url)
    assert raised.value.code == "insufficient_quota"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("status", status=500), "http_500"),
        (Fault("status", status=503), "http_503"),
        (Fault("cut"), "unreachable"),
        (Fault("slow", seconds=1), "unreachable"),
    ],
    ids=lambda each: each.kind if isinstance(each, Fault) else each,
)
async def test_what_passes_is_told_as_unavailable(
    base_url: str, break_next: Break, fault: Fault, code: str
) -> None:
    break_next(fault)
    with pytest.raises(Unavailable) as raised:
        await analyzed(base_url, timeout=0.5 if fault.kind == "slow" else 10)
    assert raised.value.code == code
    assert "sim" in str(raised.value)


async def test_a_server_that_is_not_there_is_unavailable(encoder: SentenceEncoder) -> None:
    with llmsim(encoder) as gone:
        pass
    with pytest.raises(Unavailable) as raised:
        await analyzed(gone)
    assert raised.value.code == "unreachable"


async def test_a_wrong_key_and_an_unknown_model_end_the_task(encoder: SentenceEncoder) -> None:
    with llmsim(encoder, api_key="right") as base_url:
        async with asking(base_url, api_key="right") as text:
            assert (await text.summarize("Fine.")).sentences == ("Fine.",)
        async with asking(base_url, api_key="wrong") as text:
            with pytest.raises(Permanent, match="Incorrect API key") as raised:
                await text.summarize("Fine.")
        assert raised.value.code == "auth_failed"
        async with asking(base_url, model="gpt-0", api_key="right") as text:
            with pytest.raises(Permanent, match="does not exist") as raised:
                await text.summarize("Fine.")
        assert raised.value.code == "not_found"


async def test_a_server_that_speaks_something_else_is_unavailable(base_url: str) -> None:
    async with asking(f"{base_url}/models/{CHAT_MODEL}#") as text:
        with pytest.raises(Permanent):
            await text.summarize("Fine.")

    def chatter(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>Welcome to the hotel</html>")

    async with httpx.AsyncClient(transport=httpx.MockTransport(chatter)) as client:
        endpoint = Endpoint("sim", base_url, CHAT_MODEL)
        with pytest.raises(Unavailable, match="sim answered 200 with something else") as raised:
            await OpenAIText(endpoint, client).summarize("Fine.")
    assert raised.value.code == "bad_answer"


async def test_many_tasks_share_one_client(base_url: str) -> None:
    async with asking(base_url) as text:
        told = await asyncio.gather(*(text.analyze_email(INCIDENT.mail) for _ in range(8)))
    assert all(each == told[0] for each in told)


def test_an_endpoint_keeps_its_key_to_itself_and_wants_a_whole_address() -> None:
    assert "hidden" not in repr(Endpoint("sim", "http://localhost/v1", "m", "hidden"))
    with pytest.raises(ConfigError, match="http://"):
        Endpoint("sim", "localhost:8000", "m")
