"""Words of a text, and which of them a question asks for."""

import math

import pytest

from tidemill_apps.services.keywords.asked import MOST_WORDS, rarities
from tidemill_apps.services.keywords.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Mills turn", ["the", "mill", "turn"]),
        ("潮汐磨坊", ["潮汐", "汐磨", "磨坊"]),
        ("用Python写 猫", ["用", "python", "写", "猫"]),
        (
            "resetPassword user_token HTTPServer",
            ["reset", "password", "user", "token", "httpserver"],
        ),
        ("class analysis status bus", ["class", "analysis", "status", "bus"]),
        ("C3PO 42", ["c3po", "42"]),
        ("--- !?", []),
        ("\0'\\ud800\ud800", ["ud800"]),
        ("x" * 1000, ["x" * 64]),
    ],
)
def test_words_are_lower_case_singular_and_pairs_in_chinese(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    [asked] = rarities({"wheel": 900, "mill": 3}, 1000)
    assert list(asked) == ["mill", "wheel"]
    assert asked["mill"] > 10 * asked["wheel"] > 0


def test_common_words_of_a_large_collection_are_asked_for_after_the_telling_ones() -> None:
    telling, everything = rarities({"the": 15_000, "mill": 2000, "tide": 30}, 20_000)
    assert list(telling) == ["tide", "mill"]
    assert list(everything) == ["tide", "mill", "the"]
    assert all(math.isfinite(weight) for weight in everything.values())


def test_a_question_of_common_words_alone_is_asked_once() -> None:
    assert [list(asked) for asked in rarities({"the": 15_000}, 20_000)] == [["the"]]
    assert list(rarities({}, 20_000)) == []


def test_of_a_pasted_page_the_rarest_words_are_asked_for() -> None:
    [asked] = rarities({f"word{n}": n for n in range(1, 500)}, 1000)
    assert list(asked) == [f"word{n}" for n in range(1, MOST_WORDS + 1)]


def test_in_a_small_collection_grammar_tells_nothing_unless_there_is_nothing_else() -> None:
    [asked] = rarities({"the": 3, "who": 1, "race": 3, "磨坊": 1, "什么": 1}, 42)
    assert asked.keys() == {"race", "磨坊"}
    assert [sorted(asked) for asked in rarities({"the": 3, "who": 1}, 42)] == [["the", "who"]]
