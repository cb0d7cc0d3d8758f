"""Vectors in a SQLite file: the contract, and what only this store promises."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.tests.services.vectors.contract import CHECKS, EAST, UP, filled, found
from apps.tests.services.vectors.processes import two_processes_upsert_at_once
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import SqliteVectors, VectorRow, VectorStore, open_vectors


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/vectors.db"


@pytest.fixture
def store(url: str) -> Iterator[VectorStore]:
    opened = open_vectors(url)
    yield opened
    opened.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check: Callable[[VectorStore], None], store: VectorStore) -> None:
    check(store)


def test_two_processes_upsert_at_once(url: str, store: VectorStore) -> None:
    two_processes_upsert_at_once(url, store)


def test_what_another_connection_changed_is_found(file: SqliteFile) -> None:
    here, there = filled(SqliteVectors(file)), SqliteVectors(file)
    assert found(there) == ["e", "ne", "n"]
    here.upsert("c", [VectorRow("n", "d1", EAST)])
    here.delete("c", {"id": "ne"})
    assert found(there) == ["e", "n"]


def test_a_search_inside_a_transaction_sees_what_no_other_may(file: SqliteFile) -> None:
    store = filled(SqliteVectors(file))
    assert found(store) == ["e", "ne", "n"]
    other: list[str] = []

    def rolled_back() -> None:
        with file.transaction():
            store.delete("c", {"id": "e"})
            assert found(store) == ["ne", "n"]
            if file.journal == "WAL":  # else a reader waits for the writer
                thread = threading.Thread(target=lambda: other.extend(found(store)))
                thread.start()
                thread.join()
            raise LookupError

    with pytest.raises(LookupError):
        rolled_back()
    assert other in ([], ["e", "ne", "n"])
    assert found(store) == ["e", "ne", "n"]


def test_a_search_reads_the_vectors_once(file: SqliteFile) -> None:
    store = filled(SqliteVectors(file))
    found(store)
    statements: list[str] = []
    file.connection().set_trace_callback(statements.append)
    assert found(store) == ["e", "ne", "n"]
    assert not [said for said in statements if "values_f32" in said]
    store.upsert("c", [VectorRow("u", "d", UP)])
    statements.clear()
    assert len(found(store)) == 4
    assert [said for said in statements if "SELECT" in said and "values_f32" in said]


def test_a_truth_value_is_no_number(file: SqliteFile) -> None:
    store = SqliteVectors(file)
    store.ensure("c", dim=3, model_id="m")
    rows = [VectorRow("t", "d", EAST, {"v": True}), VectorRow("1", "d", EAST, {"v": 1})]
    store.upsert("c", [*rows, VectorRow("s", "d", EAST, {"v": "1"})])
    assert [found(store, {"v": value}) for value in (True, 1, "1")] == [["t"], ["1"], ["s"]]


def test_a_document_is_found_at_the_same_cost_in_a_large_collection(file: SqliteFile) -> None:
    store = filled(SqliteVectors(file))

    def steps() -> int:
        """How many tens of SQLite's instructions it takes."""
        passed = 0

        def step() -> int:
            nonlocal passed
            passed += 1
            return 0

        file.connection().set_progress_handler(step, 10)
        assert store.ids("c", "d1")
        file.connection().set_progress_handler(None, 0)
        return passed

    before = steps()
    store.upsert("c", [VectorRow(f"z{number}", f"z{number}", EAST) for number in range(2000)])
    assert steps() <= before + 1
