"""What is said of mails and texts without any model that writes."""

import asyncio

import pytest

from apps.tests.services.text.mails import ALL, CHINESE, ENGLISH, INCIDENT, NEWSLETTER, Sample
from tidemill_apps.services.embedder import HashingEmbedder
from tidemill_apps.services.text.actions import action_items, deadline_in
from tidemill_apps.services.text.category import category_by_headers
from tidemill_apps.services.text.offline import OfflineText
from tidemill_apps.services.text.sentiment import sentiment_of, sentiment_score
from tidemill_apps.services.text.urgency import urgency_of
from tidemill_apps.services.text.values import Mail, Origin, Summary

samples = pytest.mark.parametrize("sample", ALL, ids=lambda each: each.name)


@samples
async def test_a_mail_is_told_as_a_reader_would(offline: OfflineText, sample: Sample) -> None:
    analysis = await offline.analyze_email(sample.mail)
    assert (analysis.category, analysis.sentiment, analysis.urgency) == (
        sample.category,
        sample.sentiment,
        sample.urgency,
    )
    assert sample.says in analysis.summary.text
    assert analysis.keywords


@samples
async def test_every_sentence_of_a_summary_stands_in_the_mail(
    offline: OfflineText, sample: Sample
) -> None:
    summary = (await offline.analyze_email(sample.mail)).summary
    assert 1 <= len(summary.sentences) <= 3
    assert all(sentence in sample.mail.text for sentence in summary.sentences)
    assert summary.language == ("en" if sample in ENGLISH else "zh")
    assert (summary.origin.mode, summary.origin.degraded) == ("extractive", False)


@samples
async def test_what_a_mail_asks_for_is_quoted_with_its_deadline(
    offline: OfflineText, sample: Sample
) -> None:
    items = (await offline.analyze_email(sample.mail)).action_items
    assert all(item.text in sample.mail.text for item in items)
    if sample.asks is None:
        assert items == ()
    else:
        assert items[0].text.startswith(sample.asks)
        assert items[0].deadline == sample.deadline


async def test_what_matters_little_is_left_out_of_a_summary(offline: OfflineText) -> None:
    summary = (await offline.analyze_email(INCIDENT.mail)).summary
    assert "coffee" not in summary.text
    assert "Hi Tom" not in summary.text
    newsletter = (await offline.analyze_email(NEWSLETTER.mail)).summary
    assert "unsubscribe" not in newsletter.text


async def test_the_same_mail_is_always_told_the_same(offline: OfflineText) -> None:
    told = await asyncio.gather(*(offline.analyze_email(INCIDENT.mail) for _ in range(4)))
    assert all(each == told[0] for each in told)


@pytest.mark.parametrize("text", ["", "\n\n", "!!!", "> quoted\n> only", "\0", "a" * 100_000])
async def test_odd_mails_are_analysed_like_any_other(offline: OfflineText, text: str) -> None:
    analysis = await offline.analyze_email(Mail("", text))
    assert all(sentence in text for sentence in analysis.summary.sentences)


async def test_a_summary_has_the_sentences_asked_for_in_their_order(offline: OfflineText) -> None:
    text = "\n\n".join(sample.mail.text for sample in CHINESE)
    summary = await offline.summarize(text, 5, "en")
    places = [text.index(sentence) for sentence in summary.sentences]
    assert len(places) == 5
    assert places == sorted(places)
    assert summary.language == "zh"


def test_a_line_broken_inside_a_chinese_sentence_leaves_no_gap() -> None:
    summary = Summary(("我们看以前\n旅行的照片。", "It is\nfine."), "zh", Origin("x", "x", "llm"))
    assert summary.text == "我们看以前旅行的照片。 It is fine."


async def test_any_embedder_will_do() -> None:
    summary = await OfflineText(HashingEmbedder()).summarize(INCIDENT.mail.text)
    assert summary.origin.model == "hashed-trigrams-256"
    assert len(summary.sentences) == 3


@pytest.mark.parametrize(
    ("headers", "category"),
    [
        ({"auto-submitted": "auto-replied"}, "notification"),
        ({"FROM": "No-Reply <noreply@x.example>"}, "notification"),
        ({"From": "alerts@x.example", "List-Unsubscribe": "<u>"}, "newsletter"),
        ({"Precedence": "Bulk"}, "newsletter"),
        ({"List-Id": "<dev.x.example>", "In-Reply-To": "<1@x>"}, None),
        ({"Auto-Submitted": "no", "From": "ann@x.example"}, None),
    ],
)
def test_headers_tell_the_category_where_they_can(
    headers: dict[str, str], category: str | None
) -> None:
    assert category_by_headers(Mail("", "", headers)) == category


@pytest.mark.parametrize(
    ("text", "headers", "urgency"),
    [
        ("It is not urgent.", {}, "low"),
        ("这件事不急。", {}, "low"),
        ("The site is down!", {}, "high"),
        ("请尽快处理", {}, "high"),
        ("See you by Friday.", {}, "medium"),
        ("Hello", {"X-Priority": "1 (Highest)"}, "high"),
        ("URGENT", {"Importance": "low"}, "low"),
    ],
)
def test_urgency_is_the_senders_mark_or_the_words(
    text: str, headers: dict[str, str], urgency: str
) -> None:
    assert urgency_of(Mail("", text, headers), text, "work") == urgency
    assert urgency_of(Mail("", text, headers), text, "newsletter") == "low"


@pytest.mark.parametrize(
    ("sentence", "sentiment"),
    [
        ("服务不错，我很满意。", "positive"),
        ("我对结果不太满意。", "negative"),
        ("没有出现任何错误。", "positive"),
        ("会议在三点开始。", "neutral"),
        ("This is not good.", "negative"),
        ("What a wonderful result!", "positive"),
        ("The meeting starts at three.", "neutral"),
    ],
)
def test_negations_turn_a_feeling_around(sentence: str, sentiment: str) -> None:
    assert sentiment_of(sentiment_score([sentence])) == sentiment


@pytest.mark.parametrize(
    ("sentence", "deadline"),
    [
        ("Send it by 3 May.", "by 3 May"),
        ("Reply no later than\nnoon.", "no later than\nnoon"),
        ("请于2026年5月3日前提交。", "2026年5月3日前"),
        ("请在下周三下午三点之前回复。", "下周三下午三点之前"),
        ("Written by Ann.", None),
    ],
)
def test_deadlines_are_quoted_as_they_stand(sentence: str, deadline: str | None) -> None:
    assert deadline_in(sentence) == deadline


def test_boilerplate_asks_for_nothing() -> None:
    assert action_items(["Please do not reply.", "Please note the time.", "请勿回复。"]) == ()
