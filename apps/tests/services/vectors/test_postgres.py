"""Vectors in a real PostgreSQL with pgvector."""

from collections.abc import Callable, Iterator

import numpy as np
import psycopg
import pytest

from apps.tests.services.postgres import Postgres, postgres
from apps.tests.services.vectors.contract import CHECKS, EAST, filled, found, random_units
from apps.tests.services.vectors.processes import two_processes_upsert_at_once
from tidemill import Permanent
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.vectors import VectorRow, VectorStore, open_vectors


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture
def url(server: Postgres) -> str:
    return server.fresh()


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


def test_a_killed_server_keeps_what_was_upserted(server: Postgres, store: VectorStore) -> None:
    filled(store)
    server.kill()
    with pytest.raises(Unavailable, match="PostgreSQL cannot be reached") as down:
        store.count("c")
    assert down.value.code == "unreachable"
    server.start()
    assert found(store) == ["e", "ne", "n"]


def test_the_index_answers_a_search_in_a_large_collection(url: str, store: VectorStore) -> None:
    matrix = random_units(2000, 4)
    store.ensure("c", dim=4, model_id="m")
    rows = [VectorRow(str(at), f"d{at % 50}", row) for at, row in enumerate(matrix)]
    store.upsert("c", rows)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        literal = str(matrix[0].tolist())
        query = "EXPLAIN SELECT id FROM tidemill_vectors_1 ORDER BY embedding <#> %s LIMIT 10"
        plan = "\n".join(row[0] for row in connection.execute(query, [literal]))
    assert "tidemill_vectors_1_hnsw" in plan
    nearest = {str(at) for at in np.argsort(-(matrix @ matrix[0]))[:100].tolist()}
    assert len(nearest & {row.id for row in store.search("c", matrix[0], 100)}) >= 95
    with psycopg.connect(url, autocommit=True) as connection:  # the walk gives up early
        connection.execute("DROP INDEX tidemill_vectors_1_document_id_idx")
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET hnsw.max_scan_tuples = 100")
        connection.execute(f"ALTER DATABASE {name} SET enable_sort = off")
    store.close()
    assert len(store.search("c", matrix[0], 30, {"document_id": "d7"})) == 30
    assert len(store.search("c", matrix[0], 200, {"id": [row.id for row in rows[:150]]})) == 150


def test_long_vectors_are_searched_without_an_index(store: VectorStore) -> None:
    collection = store.ensure("long", dim=3072, model_id="m")
    assert collection.index is None
    store.upsert("long", [VectorRow("1", "d", np.ones(3072, np.float32))])
    assert store.search("long", np.ones(3072, np.float32), 1)[0].score == pytest.approx(3072)


def test_a_user_who_may_not_is_told_for_good(server: Postgres, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    guest = open_vectors(url.replace("postgres@", "guest@"))
    with pytest.raises(Permanent, match="permission denied") as refused:
        guest.ensure("c", dim=3, model_id="m")
    assert refused.value.code == "forbidden"
    guest.close()


def test_a_connection_that_was_cut_is_replaced(url: str, store: VectorStore) -> None:
    filled(store)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable):
        store.count("c")
    assert store.count("c") == 3


def test_a_truth_value_is_no_number(store: VectorStore) -> None:
    store.ensure("c", dim=3, model_id="m")
    rows = [VectorRow("t", "d", EAST, {"v": True}), VectorRow("1", "d", EAST, {"v": 1})]
    store.upsert("c", [*rows, VectorRow("s", "d", EAST, {"v": "1"})])
    assert [found(store, {"v": value}) for value in (True, 1, "1")] == [["t"], ["1"], ["s"]]
