"""The vectors' contract: what is kept, found, filtered and refused."""

import numpy as np
import pytest

from tidemill_apps.services.embedder import Matrix
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import (
    AtMost,
    Filter,
    SqliteVectors,
    UnknownCollection,
    VectorRow,
    VectorsMismatch,
)

EAST, NORTH, _ = np.eye(3, dtype=np.float32)
NORTHEAST = ((EAST + NORTH) / np.sqrt(2)).astype(np.float32)


@pytest.fixture
def vectors(file: SqliteFile) -> SqliteVectors:
    made = SqliteVectors(file)
    made.ensure("c", dim=3, model_id="m")
    return made


@pytest.fixture
def filled(vectors: SqliteVectors) -> SqliteVectors:
    vectors.upsert(
        "c",
        [
            VectorRow("e", "d1", EAST, {"lang": "en", "year": 2001}),
            VectorRow("n", "d1", NORTH, {"lang": "zh", "year": 2002}),
            VectorRow("ne", "d2", NORTHEAST, {"lang": "en", "year": 2003}),
        ],
    )
    return vectors


def found(vectors: SqliteVectors, only: Filter | None = None, k: int = 10) -> list[str]:
    return [row.id for row in vectors.search("c", EAST, k, only)]


def test_the_most_alike_come_first_with_their_scores(filled: SqliteVectors) -> None:
    rows = filled.search("c", EAST, 2)
    assert [(row.id, row.document_id) for row in rows] == [("e", "d1"), ("ne", "d2")]
    assert [row.score for row in rows] == pytest.approx([1, 1 / np.sqrt(2)])


def test_search_agrees_with_a_plain_sort_on_many_vectors(vectors: SqliteVectors) -> None:
    random = np.random.default_rng(7)
    matrix: Matrix = random.normal(size=(500, 3)).astype(np.float32)
    rows = [VectorRow(str(at), "d", row) for at, row in enumerate(matrix)]
    vectors.upsert("c", rows)
    expected = [str(at) for at in np.argsort(-(matrix @ EAST))[:10]]
    assert found(vectors) == expected


def test_an_empty_collection_has_nothing_to_find(vectors: SqliteVectors) -> None:
    assert found(vectors) == []


@pytest.mark.parametrize(
    ("only", "ids"),
    [
        ({"lang": "en"}, ["e", "ne"]),
        ({"lang": ["zh", "fr"]}, ["n"]),
        ({"lang": []}, []),
        ({"year": AtMost(2002)}, ["e", "n"]),
        ({"lang": "en", "year": AtMost(2002)}, ["e"]),
        ({"missing": "x"}, []),
        ({"lang": "' OR 1=1 --"}, []),
        ({"lang' OR 1=1 --": "en"}, []),
    ],
)
def test_a_filter_is_data(filled: SqliteVectors, only: Filter, ids: list[str]) -> None:
    assert found(filled, only) == ids


def test_the_same_id_replaces_the_row(filled: SqliteVectors) -> None:
    filled.upsert("c", [VectorRow("e", "d1", NORTH, {"lang": "en"})])
    assert filled.count("c") == 3
    assert found(filled, {"lang": "en"}) == ["ne", "e"]


def test_delete_takes_one_document_or_some_of_its_rows(filled: SqliteVectors) -> None:
    assert filled.delete("c", "d1", ids=["n", "ne"]) == 1
    assert found(filled) == ["e", "ne"]
    assert filled.delete("c", "d1") == 1
    assert (filled.count("c"), filled.count("c", "d1"), filled.count("c", "d2")) == (1, 0, 1)


def test_collections_do_not_see_each_other(filled: SqliteVectors) -> None:
    filled.ensure("other", dim=3, model_id="m")
    assert filled.search("other", EAST, 3) == []
    assert [collection.name for collection in filled.collections()] == ["c", "other"]


def test_another_model_or_dimension_is_refused_by_name(filled: SqliteVectors) -> None:
    with pytest.raises(VectorsMismatch, match=r"'c' holds vectors of m \(3 numbers\), not of"):
        filled.ensure("c", dim=3, model_id="other")
    with pytest.raises(VectorsMismatch):
        filled.ensure("c", dim=4, model_id="m")
    with pytest.raises(VectorsMismatch, match="takes 3 numbers"):
        filled.search("c", np.zeros(4, np.float32), 1)


def test_one_row_that_does_not_fit_keeps_all_out(filled: SqliteVectors) -> None:
    rows = [VectorRow("new", "d", EAST), VectorRow("long", "d", np.zeros(4, np.float32))]
    with pytest.raises(VectorsMismatch, match=r"'long' has shape \(4,\)"):
        filled.upsert("c", rows)
    assert filled.count("c") == 3


def test_a_collection_that_was_never_made_is_unknown(vectors: SqliteVectors) -> None:
    with pytest.raises(UnknownCollection, match="'nowhere'"):
        vectors.search("nowhere", EAST, 1)
