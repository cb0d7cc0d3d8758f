"""Vectors in a real Milvus server, the small one that comes in a wheel."""

from collections.abc import Callable, Iterator

import pytest
from pymilvus import MilvusClient

from apps.tests.services.vectors.contract import CHECKS, EAST, filled, found
from apps.tests.services.vectors.milvus import Milvus, milvus
from apps.tests.services.vectors.processes import two_processes_upsert_at_once
from tests.servers.waiting import until
from tidemill import Permanent
from tidemill_apps.services.errors import Unavailable, milvus_error
from tidemill_apps.services.vectors import IndexParams, VectorStore, open_vectors
from tidemill_apps.services.vectors.milvus import PREFIX


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    with milvus(tmp_path_factory.mktemp("milvus")) as started:
        yield started


@pytest.fixture(scope="module")
def opened(server: Milvus) -> Iterator[VectorStore]:
    store = open_vectors(server.url)
    yield store
    store.close()


@pytest.fixture
def store(opened: VectorStore) -> Iterator[VectorStore]:
    yield opened
    for collection in opened.collections():
        opened.drop(collection.name)


@pytest.fixture
def client(server: Milvus) -> Iterator[MilvusClient]:
    """The operator's own way in."""
    connected = MilvusClient(server.url.replace("milvus", "http"), dedicated=True)
    yield connected
    connected.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check: Callable[[VectorStore], None], store: VectorStore) -> None:
    check(store)


def test_two_processes_upsert_at_once(server: Milvus, store: VectorStore) -> None:
    two_processes_upsert_at_once(server.url, store)


def test_a_killed_server_keeps_what_was_flushed(server: Milvus, store: VectorStore) -> None:
    filled(store).point("alias", "c")
    server.kill()
    with pytest.raises(Unavailable, match="Milvus cannot be reached") as down:
        store.count("c")
    assert down.value.code == "unreachable"
    server.start()
    until(lambda: _reached(store), "the client has found the server again")
    assert store.ensure("c", dim=3, model_id="m").index == IndexParams()
    assert found(store) == ["e", "ne", "n"]
    assert store.target("alias") == "c"


def test_what_was_cut_short_is_mended_by_ensure(store: VectorStore, client: MilvusClient) -> None:
    filled(store)
    physical = client.list_collections()[0]
    client.release_collection(physical)
    with pytest.raises(Unavailable, match="'released'") as released:
        store.search("c", EAST, 1)
    assert released.value.code == "milvus_101"
    client.drop_index(physical, "vector")
    assert store.collections()[0].index is None
    assert store.ensure("c", dim=3, model_id="m").index == IndexParams()
    assert found(store) == ["e", "ne", "n"]


@pytest.mark.parametrize(
    ("code", "slug"), [(1100, "invalid"), (1102, "too_large"), (1401, "forbidden")]
)
def test_milvus_answers_that_stay_end_the_task(code: int, slug: str) -> None:
    error = milvus_error(code, "no")
    assert isinstance(error, Permanent)
    assert (error.code, str(error)) == (slug, f"Milvus answered {code}: no")


@pytest.mark.parametrize("code", [1, 2, 3, 8, 101, 103, 700, 901, 1001, 65535])
def test_milvus_answers_that_pass_are_tried_again(code: int) -> None:
    error = milvus_error(code, "busy")
    assert isinstance(error, Unavailable)
    assert (error.code, str(error)) == (f"milvus_{code}", f"Milvus answered {code}: busy")


def test_a_dimension_that_milvus_does_not_take_is_refused_for_good(store: VectorStore) -> None:
    with pytest.raises(Permanent, match="Milvus answered"):
        store.ensure("c", dim=0, model_id="m")
    assert store.collections() == []


def test_what_others_keep_in_the_database_is_left_alone(
    store: VectorStore, client: MilvusClient
) -> None:
    client.create_collection("theirs", dimension=3)
    client.create_collection(f"{PREFIX}theirs", dimension=3)
    try:
        filled(store)
        assert [collection.name for collection in store.collections()] == ["c"]
    finally:
        client.drop_collection("theirs")
        client.drop_collection(f"{PREFIX}theirs")


def _reached(store: VectorStore) -> bool:
    try:
        store.collections()
    except Unavailable:
        return False
    return True
