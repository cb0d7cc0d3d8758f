"""The contract of search by words, on SQLite and on a real PostgreSQL."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.tests.services.postgres import Postgres, postgres
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.keywords import KeywordIndex, KeywordRow, SqliteKeywords
from tidemill_apps.services.keywords.postgres import PostgresKeywords
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import AtMost, Filter, Unstorable

SHELF = [
    KeywordRow(
        "mill", "d1", "The wheel of the mill turns when the water falls.", {"user": "a", "day": 1}
    ),
    KeywordRow(
        "mills", "d1", "Tide mills are old, and the oldest mill is", {"user": "a", "day": 2}
    ),
    KeywordRow(
        "cat", "d2", "The cat sleeps on the mat, and the cat purrs: a cat", {"user": "b", "day": 3}
    ),
    KeywordRow("磨坊", "d3", "潮水落下的时候,磨坊的水轮转动。", {"user": "b", "day": 4}),
    KeywordRow("code", "d4", "def resetPassword(user_token): mail the link", {"user": "a"}),
]
VOCABULARY = [f"word{number}" for number in range(60)]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[KeywordIndex]:
    file = SqliteFile(tmp_path / "keywords.db")
    yield SqliteKeywords(file)
    file.close()


@pytest.fixture
def on_postgres(server: Postgres) -> Iterator[PostgresKeywords]:
    opened = PostgresKeywords(server.fresh())
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def index(request: pytest.FixtureRequest) -> KeywordIndex:
    kept: KeywordIndex = request.getfixturevalue(f"on_{request.param}")
    return kept


@pytest.fixture
def filled(index: KeywordIndex) -> KeywordIndex:
    index.put("c", SHELF)
    return index


def found(index: KeywordIndex, question: str, only: Filter | None = None, k: int = 10) -> list[str]:
    return [keyed.id for keyed in index.search("c", question, k, only)]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("When does the WHEEL of a mill turn?", "mill"),
        ("mills", "mills"),
        ("cats", "cat"),
        ("reset password token", "code"),
        ("磨坊的水轮什么时候转动?", "磨坊"),
    ],
)
def test_the_passage_with_the_rarest_words_comes_first(
    filled: KeywordIndex, question: str, first: str
) -> None:
    best, *others = filled.search("c", question, 10)
    assert best.id == first
    assert best.document_id == next(row.document_id for row in SHELF if row.id == first)
    scores = [best.score, *(keyed.score for keyed in others)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0


def test_as_many_are_found_as_were_asked_for_and_share_a_word(filled: KeywordIndex) -> None:
    assert len(found(filled, "mill cat reset", k=2)) == 2
    assert sorted(found(filled, "the mill, cat, reset")) == ["cat", "code", "mill", "mills"]
    assert sorted(found(filled, "of the mill")) == ["mill", "mills"]
    assert found(filled, "zzz qqq") == []


@pytest.mark.parametrize("question", ["", " ", "'; DROP TABLE x; --", "\0", '"* OR NEAR', "\ud800"])
def test_odd_questions_are_only_questions(filled: KeywordIndex, question: str) -> None:
    assert found(filled, question) == []
    assert filled.count("c") == 5


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"user": "a"}, ["code", "mill", "mills"]),
        ({"user": ["b", "x"]}, ["cat"]),
        ({"user": []}, []),
        ({"day": AtMost(2)}, ["mill", "mills"]),
        ({"user": "a", "day": AtMost(1)}, ["mill"]),
        ({"document_id": "d1"}, ["mill", "mills"]),
        ({"missing": "x"}, []),
        ({"user": "' OR 1=1 --"}, []),
    ],
)
def test_a_filter_is_data(filled: KeywordIndex, only: Filter, expected: list[str]) -> None:
    assert sorted(found(filled, "the mill, cat, reset", only)) == expected


def test_the_name_of_a_field_is_no_sql(filled: KeywordIndex) -> None:
    with pytest.raises(Unstorable):
        filled.search("c", "the mill", 10, {"user' OR 1=1 --": "a"})


def test_count_takes_a_filter(filled: KeywordIndex) -> None:
    assert (filled.count("c"), filled.count("c", {"user": "b"}), filled.count("d")) == (5, 2, 0)


def test_putting_twice_changes_nothing(filled: KeywordIndex) -> None:
    before = filled.search("c", "the mill", 10)
    filled.put("c", SHELF)
    assert filled.search("c", "the mill", 10) == before


def test_a_row_replaces_the_one_with_its_id(filled: KeywordIndex) -> None:
    filled.put("c", [KeywordRow("cat", "d9", "a first dog"), KeywordRow("cat", "d9", "a dog")])
    assert found(filled, "cat first") == []
    assert [keyed.document_id for keyed in filled.search("c", "dog", 10)] == ["d9"]
    assert filled.texts("c", ["cat"]) == {"cat": "a dog"}
    assert filled.count("c") == 5


def test_a_batch_is_kept_whole_or_not_at_all(index: KeywordIndex) -> None:
    odd = KeywordRow("b", "d", "good", {"user": object()})  # type: ignore[dict-item]  # is refused
    with pytest.raises(TypeError):
        index.put("c", [KeywordRow("a", "d", "good"), odd])
    assert index.count("c") == 0


def test_a_passage_without_words_is_kept_and_not_found(index: KeywordIndex) -> None:
    index.put("c", [KeywordRow("a", "d", "--- !?")])
    index.put("c", [])
    assert (index.count("c"), found(index, "---")) == (1, [])


def test_delete_takes_a_documents_passages_but_those_to_keep(filled: KeywordIndex) -> None:
    assert filled.delete("c", "d1", keep=["mills", "cat"]) == 1
    assert found(filled, "mill") == ["mills"]
    assert filled.delete("c", "d1") == 1
    assert filled.delete("c", "d1") == 0
    assert found(filled, "mill") == []
    assert filled.count("c") == 3


def test_collections_do_not_see_each_other(filled: KeywordIndex) -> None:
    filled.put("other", [KeywordRow("mill", "x", "a mill of its own")])
    assert [keyed.document_id for keyed in filled.search("other", "mill", 10)] == ["x"]
    assert filled.texts("other", ["mill", "cat"]) == {"mill": "a mill of its own"}
    filled.drop("c")
    assert (filled.count("c"), filled.count("other")) == (0, 1)
    assert found(filled, "mill") == []


def test_texts_come_as_they_were_put(filled: KeywordIndex) -> None:
    assert filled.texts("c", ["磨坊", "nowhere"]) == {"磨坊": SHELF[3].text}
    assert filled.texts("c", []) == {}


def test_threads_that_put_the_same_rows_do_not_disturb_each_other(index: KeywordIndex) -> None:
    rows = [KeywordRow(str(number), "d", f"mill {number}") for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(index.put, "c", rows[:: 1 - 2 * (n % 2)]) for n in range(8)]:
            done.result()
    assert index.count("c") == 40
    assert found(index, "7") == ["7"]


def test_both_rank_alike(on_sqlite: KeywordIndex, on_postgres: KeywordIndex) -> None:
    choose = random.Random(9)
    rows = [
        KeywordRow(f"{n:03}", str(n % 7), " ".join(choose.choices(VOCABULARY, k=5 + n % 40)))
        for n in range(200)
    ]
    for index in (on_sqlite, on_postgres):
        index.put("c", rows)
    for _ in range(20):
        question = " ".join(choose.sample(VOCABULARY, 4))
        one, other = (index.search("c", question, 30) for index in (on_sqlite, on_postgres))
        assert [keyed.id for keyed in one] == [keyed.id for keyed in other]
        assert [keyed.score for keyed in one] == pytest.approx([keyed.score for keyed in other])


def test_postgres_takes_texts_with_nul(on_postgres: KeywordIndex) -> None:
    on_postgres.put("c", [KeywordRow("a", "d", "tide\0mill")])
    assert found(on_postgres, "mill") == ["a"]


def test_a_server_that_is_gone_is_unavailable_and_then_back(
    server: Postgres, on_postgres: KeywordIndex
) -> None:
    on_postgres.put("c", SHELF)
    server.kill()
    with pytest.raises(Unavailable, match="PostgreSQL cannot be reached"):
        on_postgres.search("c", "mill", 1)
    server.start()
    assert found(on_postgres, "cats") == ["cat"]
