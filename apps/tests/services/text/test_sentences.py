"""Texts cut into sentences, each a slice of the text; what of a mail is its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.tests.services.text.mails import ALL, INCIDENT, Sample
from tidemill_apps.services.text.language import language_of
from tidemill_apps.services.text.sentences import own_text, sentences


def test_full_stops_of_abbreviations_and_numbers_end_nothing() -> None:
    text = "Dr. Wong uses v1.2 at 3.5 GHz, e.g. for J. Smith. She likes it."
    assert sentences(text) == (
        "Dr. Wong uses v1.2 at 3.5 GHz, e.g. for J. Smith.",
        "She likes it.",
    )


def test_chinese_sentences_end_without_white_space() -> None:
    assert sentences("他说：“好的。”我们走吧！真的吗？是；走") == (
        "他说：“好的。”",
        "我们走吧！",
        "真的吗？",
        "是；",
        "走",
    )


def test_lines_wrapped_at_the_margin_are_one_sentence() -> None:
    text = "This sentence is wrapped by a program that wraps long lines\nat a margin. Short."
    assert sentences(text) == (text[: text.index(" Short")], "Short.")


def test_items_of_a_list_are_sentences_of_their_own() -> None:
    assert sentences("Bring:\n- bread\n- two bottles\n1. hope") == (
        "Bring:",
        "- bread",
        "- two bottles",
        "1. hope",
    )


def test_quotations_and_signatures_are_not_the_mails_own_text() -> None:
    own = own_text(INCIDENT.mail.text)
    assert "Best regards" in own
    assert "Tom Miller wrote" not in own
    assert "call me" not in own
    assert own_text("Fine.\n-- \nAnn\nDirector") == "Fine.\n\n"
    assert "回复" not in own_text("同意。\n\n2021年5月3日,王伟 写道：\n> 请回复\n")


def test_a_mail_of_nothing_but_quotations_is_left_as_it_is() -> None:
    assert own_text("> hello\n> there\n") == "> hello\n> there\n"


@pytest.mark.parametrize("sample", ALL, ids=lambda each: each.name)
def test_every_sentence_of_a_mail_is_a_slice_of_it(sample: Sample) -> None:
    found = sentences(own_text(sample.mail.text))
    assert found
    assert all(sentence in sample.mail.text for sentence in found)


@given(st.text(alphabet="aB .!?。！\n\t>-*1;；中\r'\"", max_size=200))
def test_any_text_is_cut_into_slices_that_stand_in_order(text: str) -> None:
    start = 0
    for sentence in sentences(own_text(text)):
        start = text.index(sentence, start) + len(sentence)
        assert sentence == sentence.strip()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("12:30", "en"),
        ("好", "zh"),
        ("see 王伟 on Monday", "en"),
        ("用 Python 写的", "zh"),
    ],
)
def test_the_language_is_that_of_most_words(text: str, language: str) -> None:
    assert language_of(text) == language
