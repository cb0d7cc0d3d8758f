"""Words, their search, and both searches merged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill_apps.knowledge.documents import Document, Library
from tidemill_apps.knowledge.search import search

Index = Callable[[Path], Document]


@pytest.fixture
def shelf(index: Index, tmp_path: Path) -> None:
    for name, text in {
        "mill.md": "# Tide mills\n\nThe wheel of the mill turns when the water falls.",
        "cat.md": "# Cats\n\nThe cat sleeps on the mat, and the cat purrs: a cat is a cat.",
        "mail.py": '"""Email."""\n\n\ndef resetPassword(user_token):\n    """Mail the link."""\n',
        "磨坊.md": "# 潮汐磨坊\n\n潮水落下的时候,磨坊的水轮转动。",
        "猫.md": "# 猫\n\n猫在垫子上睡觉。",
    }.items():
        (tmp_path / name).write_text(text)
        index(tmp_path / name)


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("When does the wheel of a mill turn?", "mill.md"),
        ("cats", "cat.md"),
        ("reset password token", "mail.py"),
        ("磨坊的水轮什么时候转动?", "磨坊.md"),
        ("猫在哪里睡觉?", "猫.md"),
    ],
)
def test_the_document_that_answers_comes_first(
    library: Library, question: str, document: str
) -> None:
    best = search(library, question, 3)[0]
    assert best.document == document
    assert 1 in {best.vector_rank, best.keyword_rank}
    assert best.title in best.text or document.endswith(".py")


@pytest.mark.usefixtures("shelf")
def test_passages_come_best_first_and_as_many_as_asked(library: Library) -> None:
    passages = search(library, "the mill", 4)
    assert len(passages) == 4
    assert [p.score for p in passages] == sorted((p.score for p in passages), reverse=True)


@pytest.mark.usefixtures("shelf")
def test_a_question_without_known_words_is_answered_by_vectors_alone(library: Library) -> None:
    assert {p.keyword_rank for p in search(library, "zzz qqq")} == {None}


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("question", ["", "   ", "'; DROP TABLE segment; --", "\0", '"* OR'])
def test_odd_questions_are_only_questions(library: Library, question: str) -> None:
    assert len(search(library, question, 3)) == 3


def test_an_empty_dataset_has_no_passages(library: Library) -> None:
    assert search(library, "anything") == []


@pytest.mark.usefixtures("shelf")
def test_a_rare_word_weighs_more_than_a_common_one(library: Library) -> None:
    assert library.keyed("the purrs", 1)[0].id == library.keyed("purrs", 1)[0].id
    assert library.keyed("purrs", 1)[0].score > library.keyed("the", 1)[0].score
