"""What every vector store promises; each check is a sentence, run against each store."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tidemill_apps.services.embedder import Matrix
from tidemill_apps.services.vectors import (
    MOST_FOUND,
    AtMost,
    Collection,
    Filter,
    IndexParams,
    Scalar,
    UnknownCollection,
    Unstorable,
    VectorRow,
    VectorsMismatch,
    VectorStore,
)

EAST, NORTH, UP = np.eye(3, dtype=np.float32)
NORTHEAST = ((EAST + NORTH) / np.sqrt(2)).astype(np.float32)

HOSTILE = [
    "' OR 1=1 --",
    '" or id != "',
    '"] or true or fields["x"] in ["',
    "') ; DROP TABLE vector; --",
    "back\\slash\\",
    '\\" or 1 == 1 or "',
    "two\nlines\r\n",
    "tab\tand bell\x07 and escape\x1b",
    "%s %(name)s {0} {name} $1 ?1 :name @x",
    "per%cent_under",
    "潮汐磨坊：每封邮件",
    "🌊 e\u0301 é \u2028",
    "",
    "true",
    "1",
    "a",
    "B",
]
"""Texts that are something else where a value is not kept apart from the language around it."""


def filled(store: VectorStore, name: str = "c") -> VectorStore:
    store.ensure(name, dim=3, model_id="m")
    store.upsert(
        name,
        [
            VectorRow("e", "d1", EAST, {"lang": "en", "year": 2001, "kept": True}),
            VectorRow("n", "d1", NORTH, {"lang": "zh", "year": 2002.5, "kept": False}),
            VectorRow("ne", "d2", NORTHEAST, {"lang": "en", "year": -3}),
        ],
    )
    return store


def found(store: VectorStore, only: Filter | None = None, name: str = "c") -> list[str]:
    ids = [row.id for row in store.search(name, EAST, 100, only)]
    assert store.count(name, only) == len(ids)
    return ids


def random_units(count: int, dim: int) -> Matrix:
    rows = np.random.default_rng(7).normal(size=(count, dim)).astype(np.float32)
    units: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def the_most_alike_come_first_with_scores_and_fields(store: VectorStore) -> None:
    rows = filled(store).search("c", EAST, 2)
    assert [(row.id, row.document_id) for row in rows] == [("e", "d1"), ("ne", "d2")]
    assert [row.score for row in rows] == pytest.approx([1, 1 / np.sqrt(2)], abs=1e-5)
    assert rows[0].fields == {"lang": "en", "year": 2001, "kept": True}


def search_agrees_with_a_plain_sort_on_many_vectors(store: VectorStore) -> None:
    matrix = random_units(600, 16)
    store.ensure("many", dim=16, model_id="m")
    store.upsert("many", [VectorRow(f"{at:03}", "d", row) for at, row in enumerate(matrix)])
    nearest = [f"{at:03}" for at in np.argsort(-(matrix @ matrix[5]))]
    got = [row.id for row in store.search("many", matrix[5], 20)]
    assert got[0] == "005"
    assert len(set(got) & set(nearest[:20])) >= 19
    everything = store.search("many", matrix[5], MOST_FOUND)
    assert {row.id for row in everything} == set(nearest)
    scores = [row.score for row in everything]
    assert scores == sorted(scores, reverse=True)


def a_filter_that_few_pass_finds_them_all(store: VectorStore) -> None:
    matrix = random_units(900, 16)
    matrix[600:] = matrix[0]  # passages that say the same
    store.ensure("few", dim=16, model_id="m")
    rows = [VectorRow(f"{at:04}", f"d{at % 50}", row) for at, row in enumerate(matrix)]
    store.upsert("few", rows)
    store.rebuild("few", IndexParams(m=4, ef_construction=20))
    mine = sorted(range(7, 900, 50), key=lambda at: (-float(matrix[at] @ matrix[0]), at))
    got = store.search("few", matrix[0], 20, {"document_id": "d7"})
    assert {row.id for row in got} == {f"{at:04}" for at in mine}
    assert [row.score for row in got] == pytest.approx([matrix[at] @ matrix[0] for at in mine])
    assert len(store.search("few", matrix[0], MOST_FOUND)) == 900


def an_empty_collection_has_nothing_to_find(store: VectorStore) -> None:
    store.ensure("c", dim=3, model_id="m")
    store.upsert("c", [])
    assert found(store) == []
    assert store.ids("c", "d1") == []


def a_filter_chooses_by_values_lists_and_limits(store: VectorStore) -> None:
    filled(store)
    cases: list[tuple[Filter, list[str]]] = [
        ({}, ["e", "ne", "n"]),
        ({"lang": "en"}, ["e", "ne"]),
        ({"lang": ["zh", "fr"]}, ["n"]),
        ({"lang": []}, []),
        ({"kept": True}, ["e"]),
        ({"kept": [True, False]}, ["e", "n"]),
        ({"year": 2002.5}, ["n"]),
        ({"year": [2001, -3]}, ["e", "ne"]),
        ({"year": 2001.0}, ["e"]),
        ({"year": AtMost(2001)}, ["e", "ne"]),
        ({"year": AtMost(2002.5)}, ["e", "ne", "n"]),
        ({"year": AtMost(-4)}, []),
        ({"lang": AtMost("en")}, ["e", "ne"]),
        ({"lang": AtMost("em")}, []),
        ({"lang": "en", "year": AtMost(0)}, ["ne"]),
        ({"document_id": "d1"}, ["e", "n"]),
        ({"document_id": ["d2", "d3"]}, ["ne"]),
        ({"document_id": []}, []),
        ({"document_id": AtMost("d1")}, ["e", "n"]),
        ({"document_id": 1}, []),
        ({"document_id": AtMost(1)}, []),
        ({"id": ["e", "ne", "x"], "document_id": "d2"}, ["ne"]),
        ({"missing": "x"}, []),
        ({"missing": AtMost("x")}, []),
    ]
    for only, ids in cases:
        assert found(store, only) == ids, only


def a_value_is_data_whatever_it_says(store: VectorStore) -> None:
    store.ensure("c", dim=3, model_id="m")
    rows = [VectorRow(f"r{at}", t or "-", EAST, {"t": t}) for at, t in enumerate(HOSTILE)]
    store.upsert("c", rows)
    by_order = sorted(HOSTILE)
    for row, text in zip(rows, HOSTILE, strict=True):
        assert found(store, {"t": text}) == [row.id]
        assert set(found(store, {"t": [text, "潮汐"]})) == {row.id}
        assert found(store, {"id": [row.id], "document_id": row.document_id}) == [row.id]
        assert len(found(store, {"t": AtMost(text)})) == by_order.index(text) + 1
        assert store.ids("c", row.document_id) == [row.id]
        assert store.search("c", EAST, 1, {"t": text})[0].fields == {"t": text}
        assert store.delete("c", {"t": f"{text}x"}) == 0
    assert store.delete("c", {"t": HOSTILE[1]}) == 1
    assert store.count("c") == len(HOSTILE) - 1


def a_name_is_data_whatever_it_says(store: VectorStore) -> None:
    names = [*filter(None, HOSTILE), "a_b", "a.b", "a b", "A_B", "x" * 200]
    for at, name in enumerate(names):
        assert store.ensure(name, dim=3, model_id=f"模型 {at}").name == name
    store.upsert("a.b", [VectorRow("e", "d", EAST)])
    made = {collection.name: collection.model_id for collection in store.collections()}
    assert made == {name: f"模型 {at}" for at, name in enumerate(names)}
    assert [name for name in names if store.count(name)] == ["a.b"]
    assert all(store.drop(name) for name in names)
    assert store.collections() == []


def what_not_every_store_can_keep_is_refused_by_all(store: VectorStore) -> None:
    filled(store)
    values: list[Scalar] = ["nul\0", "\ud83c", math.nan, math.inf, 2**63, -(2**63) - 1]
    bad_fields: list[dict[str, Scalar]] = [{"f": value} for value in values]
    names = ["", "a-b", "a b", 'x"]', "1a", "字段", "id", "document_id", "f" * 65]
    bad_fields += [{name: "x"} for name in names]
    bad_fields.append({"long": "字" * 22_000})
    bad_rows = [VectorRow("new", "d", EAST, fields) for fields in bad_fields]
    bad_rows += [VectorRow("", "d", EAST), VectorRow("new", "", EAST)]
    bad_rows += [VectorRow("i" * 513, "d", EAST), VectorRow("new", "nul\0", EAST)]
    for row in bad_rows:
        with pytest.raises(Unstorable, match="row '"):
            store.upsert("c", [VectorRow("good", "d", EAST), row])
    bad_filters: list[Filter] = [{"f": value} for value in values]
    bad_filters += [{"f": ["x", value]} for value in values]
    bad_filters += [{name: "x"} for name in names if name not in {"id", "document_id"}]
    bad_filters += [{"f": AtMost("nul\0")}, {"f": AtMost(limit=True)}]
    for only in bad_filters:
        for verb in (store.count, store.delete):
            with pytest.raises(Unstorable):
                verb("c", only)
        with pytest.raises(Unstorable):
            store.search("c", EAST, 1, only)
    for name in ("", "n" * 201, "nul\0", "\ud83c"):
        with pytest.raises(Unstorable, match="no name of a collection"):
            store.ensure(name, dim=3, model_id="m")
        with pytest.raises(Unstorable, match="no name of a collection"):
            store.point(name, "c")
    assert found(store) == ["e", "ne", "n"]


def the_largest_fields_are_kept(store: VectorStore) -> None:
    store.ensure("c", dim=3, model_id="m")
    row = VectorRow("字" * 170, "d" * 512, EAST, {"f" * 64: "字" * 21_800, "n": -(2**63)})
    store.upsert("c", [row])
    assert store.search("c", EAST, 1)[0].fields == row.fields
    assert store.count("c", {"n": -(2**63), "f" * 64: "字" * 21_800}) == 1


def the_same_id_replaces_the_row_and_the_last_of_a_batch_counts(store: VectorStore) -> None:
    filled(store)
    store.upsert("c", [VectorRow("e", "d3", UP), VectorRow("e", "d9", NORTH, {"lang": "fr"})])
    assert (store.count("c"), store.ids("c", "d1"), store.ids("c", "d9")) == (3, ["n"], ["e"])
    assert set(found(store)) == {"ne", "n", "e"}
    assert found(store)[0] == "ne"
    assert (found(store, {"lang": "fr"}), found(store, {"kept": True})) == (["e"], [])


def delete_takes_what_passes_the_filter_and_counts_it(store: VectorStore) -> None:
    filled(store)
    assert store.delete("c", {"document_id": "d1", "id": ["n", "ne", "x"]}) == 1
    assert found(store) == ["e", "ne"]
    assert store.delete("c", {"id": "e"}) == 1
    assert [row.id for row in store.search("c", EAST, 1)] == ["ne"]
    store.upsert("c", [VectorRow("e", "d1", EAST)])
    assert store.delete("c", {"id": ["n", "x"]}) == 0
    assert store.delete("c", {"id": []}) == 0
    assert store.delete("c", {"year": AtMost(0)}) == 1
    assert store.delete("c", {"document_id": "d1"}) == 1
    assert (found(store), store.ids("c", "d1")) == ([], [])
    store.upsert("c", [VectorRow("e", "d1", EAST)])
    assert found(store) == ["e"]


def deleting_without_a_filter_is_refused(store: VectorStore) -> None:
    filled(store)
    with pytest.raises(Unstorable, match="drop the collection"):
        store.delete("c", {})
    assert store.count("c") == 3


def the_ids_of_a_document_are_sorted(store: VectorStore) -> None:
    store.ensure("c", dim=3, model_id="m")
    ids = [f"{at:04}" for at in range(1200)]
    store.upsert("c", [VectorRow(row_id, "d", EAST) for row_id in reversed(ids)])
    store.upsert("c", [VectorRow("other", "d2", EAST)])
    assert store.ids("c", "d") == ids


def another_model_or_dimension_is_refused_by_name(store: VectorStore) -> None:
    filled(store)
    with pytest.raises(VectorsMismatch, match=r"'c' holds vectors of m \(3 numbers\), not of"):
        store.ensure("c", dim=3, model_id="other")
    with pytest.raises(VectorsMismatch, match=r"not of m \(4 numbers\)"):
        store.ensure("c", dim=4, model_id="m")
    with pytest.raises(VectorsMismatch, match="the question's vector has shape"):
        store.search("c", np.zeros(4, np.float32), 1)
    for vector, said in ((np.zeros(4), r"'bad' has shape \(4,\)"), (EAST * np.nan, "not finite")):
        rows = [VectorRow("new", "d", EAST), VectorRow("bad", "d", vector.astype(np.float32))]
        with pytest.raises(VectorsMismatch, match=said):
            store.upsert("c", rows)
    assert found(store) == ["e", "ne", "n"]


def a_vector_of_zeros_is_like_nothing(store: VectorStore) -> None:
    filled(store).upsert("c", [VectorRow("0", "d", EAST * 0)])
    scores = {row.id: row.score for row in store.search("c", EAST, 10)}
    assert scores["0"] == pytest.approx(0, abs=1e-6)
    assert len(scores) == 4


def as_many_are_found_as_there_are(store: VectorStore) -> None:
    filled(store)
    assert len(store.search("c", EAST, MOST_FOUND)) == 3
    assert len(store.search("c", EAST, MOST_FOUND, {"lang": "en"})) == 2
    for k in (0, -1, MOST_FOUND + 1):
        with pytest.raises(Unstorable, match="1 to 10000"):
            store.search("c", EAST, k)


def a_collection_that_was_never_made_is_unknown(store: VectorStore) -> None:
    verbs: list[Callable[[], object]] = [
        lambda: store.upsert("nowhere", [VectorRow("e", "d", EAST)]),
        lambda: store.delete("nowhere", {"id": "e"}),
        lambda: store.ids("nowhere", "d"),
        lambda: store.search("nowhere", EAST, 1),
        lambda: store.count("nowhere"),
        lambda: store.point("alias", "nowhere"),
        lambda: store.target("nowhere"),
        lambda: store.rebuild("nowhere", IndexParams()),
    ]
    for verb in verbs:
        with pytest.raises(UnknownCollection, match="no collection 'nowhere'"):
            verb()
    assert store.drop("nowhere") is False


def ensuring_again_changes_nothing(store: VectorStore) -> None:
    first = filled(store).ensure("c", dim=3, model_id="m")
    assert first == Collection("c", 3, "m", first.index)
    assert store.ensure("c", dim=3, model_id="m") == first
    assert store.collections() == [first]
    assert store.count("c") == 3


def an_alias_stands_for_its_collection_in_every_verb(store: VectorStore) -> None:
    filled(store, "c.1")
    store.point("潮", "c.1")
    assert (store.target("潮"), store.target("c.1")) == ("c.1", "c.1")
    assert store.ensure("潮", dim=3, model_id="m").name == "c.1"
    with pytest.raises(VectorsMismatch, match=r"'c\.1' holds"):
        store.ensure("潮", dim=4, model_id="m")
    store.upsert("潮", [VectorRow("u", "d4", UP)])
    assert (store.count("潮"), store.count("c.1"), store.ids("潮", "d4")) == (4, 4, ["u"])
    assert found(store, {"lang": "en"}, "潮") == ["e", "ne"]
    assert store.delete("潮", {"id": "u"}) == 1
    assert store.rebuild("潮", IndexParams()).name == "c.1"
    store.point("second", "潮")
    assert store.target("second") == "c.1"
    assert [collection.name for collection in store.collections()] == ["c.1"]


def an_alias_is_switched_at_once_and_the_old_collection_dropped(store: VectorStore) -> None:
    filled(store, "c.1").point("c", "c.1")
    store.ensure("c.2", dim=2, model_id="m2")
    store.upsert("c.2", [VectorRow("new", "d", np.array([0, 1], np.float32))])
    store.point("c", "c.2")
    store.point("c", "c.2")
    assert store.target("c") == "c.2"
    assert [row.id for row in store.search("c", np.array([0, 1], np.float32), 5)] == ["new"]
    assert store.count("c.1") == 3
    assert store.drop("c.1") is True
    assert store.target("c") == "c.2"
    assert store.drop("c") is True
    with pytest.raises(UnknownCollection):
        store.target("c")
    assert (store.drop("c.2"), store.collections()) == (False, [])


def an_alias_never_hides_a_collection(store: VectorStore) -> None:
    filled(store).ensure("other", dim=3, model_id="m")
    with pytest.raises(Unstorable, match="'other' is a collection itself"):
        store.point("other", "c")
    assert store.target("other") == "other"


def a_dropped_collection_can_be_made_anew(store: VectorStore) -> None:
    filled(store)
    assert found(store) == ["e", "ne", "n"]
    assert store.drop("c") is True
    store.ensure("c", dim=3, model_id="m2")
    assert found(store) == []


def rebuilding_changes_the_index_and_no_row(store: VectorStore) -> None:
    matrix = random_units(200, 16)
    exact = store.ensure("c", dim=16, model_id="m").index is None
    store.upsert("c", [VectorRow(str(at), "d", row) for at, row in enumerate(matrix)])
    before = [row.id for row in store.search("c", matrix[3], 10)]
    rebuilt = store.rebuild("c", IndexParams(m=32, ef_construction=100))
    assert rebuilt.index == (None if exact else IndexParams(32, 100))
    assert store.rebuild("c", IndexParams(m=32, ef_construction=100)) == rebuilt
    assert store.collections() == [rebuilt]
    assert store.count("c") == 200
    after = [row.id for row in store.search("c", matrix[3], 10)]
    assert len(set(before) & set(after)) >= 9


def threads_may_share_a_store(store: VectorStore) -> None:
    def work(at: int) -> list[str]:
        store.ensure("alias", dim=3, model_id="m")
        store.upsert("c", [VectorRow(f"{at}.{n}", f"d{at}", UP) for n in range(20)])
        return [row.id for row in store.search("alias", UP, 100, {"document_id": f"d{at}"})]

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: store.ensure("c", dim=3, model_id="m"), range(8)))
        assert made == set(store.collections())
        list(pool.map(lambda _: store.point("alias", "c"), range(8)))
        searches = list(pool.map(work, range(8)))
    assert [sorted(ids) for ids in searches] == [
        sorted(f"{at}.{n}" for n in range(20)) for at in range(8)
    ]
    assert store.count("c") == 160


def a_closed_store_opens_again(store: VectorStore) -> None:
    filled(store).close()
    assert found(store) == ["e", "ne", "n"]


CHECKS: list[Callable[[VectorStore], None]] = [
    the_most_alike_come_first_with_scores_and_fields,
    search_agrees_with_a_plain_sort_on_many_vectors,
    a_filter_that_few_pass_finds_them_all,
    an_empty_collection_has_nothing_to_find,
    a_filter_chooses_by_values_lists_and_limits,
    a_value_is_data_whatever_it_says,
    a_name_is_data_whatever_it_says,
    what_not_every_store_can_keep_is_refused_by_all,
    the_largest_fields_are_kept,
    the_same_id_replaces_the_row_and_the_last_of_a_batch_counts,
    delete_takes_what_passes_the_filter_and_counts_it,
    deleting_without_a_filter_is_refused,
    the_ids_of_a_document_are_sorted,
    another_model_or_dimension_is_refused_by_name,
    a_vector_of_zeros_is_like_nothing,
    as_many_are_found_as_there_are,
    a_collection_that_was_never_made_is_unknown,
    ensuring_again_changes_nothing,
    an_alias_stands_for_its_collection_in_every_verb,
    an_alias_is_switched_at_once_and_the_old_collection_dropped,
    an_alias_never_hides_a_collection,
    a_dropped_collection_can_be_made_anew,
    rebuilding_changes_the_index_and_no_row,
    threads_may_share_a_store,
    a_closed_store_opens_again,
]
