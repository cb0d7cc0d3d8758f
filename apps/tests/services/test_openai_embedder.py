"""Vectors over HTTP, and vectors kept by their texts."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from apps.tests.counting import CountingEmbedder
from tidemill import Permanent
from tidemill_apps.services.embedder import BATCH_SIZE, HashingEmbedder
from tidemill_apps.services.embedding_cache import CachedEmbedder
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.llmsim.running import llmsim
from tidemill_apps.services.openai_api import Endpoint
from tidemill_apps.services.openai_embedder import OpenAIEmbedder
from tidemill_apps.services.sqlite_file import SqliteFile

LOCAL = HashingEmbedder(64)
TEXTS = [f"text number {number}" for number in range(BATCH_SIZE + 3)]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with llmsim(LOCAL) as url:
        yield url


@pytest.fixture
def remote(base_url: str) -> Iterator[OpenAIEmbedder]:
    with httpx.Client() as client:
        yield OpenAIEmbedder(Endpoint("sim", base_url, LOCAL.model_id), client)


def break_next(base_url: str, fault: Fault) -> None:
    address = f"{base_url.removesuffix('/v1')}/faults"
    httpx.post(address, content=msgspec.json.encode([fault])).raise_for_status()


def test_vectors_are_those_of_the_model_in_order_and_of_unit_length(
    remote: OpenAIEmbedder,
) -> None:
    rows = remote.embed(TEXTS)
    assert rows.dtype == np.float32
    assert np.allclose(rows, LOCAL.embed(TEXTS), atol=1e-6)
    assert remote.dim == LOCAL.dim
    assert remote.model_id == LOCAL.model_id


def test_no_texts_and_empty_texts_are_embedded_too(remote: OpenAIEmbedder) -> None:
    assert remote.embed([]).shape[0] == 0
    assert remote.embed(["", "tide"]).shape == (2, LOCAL.dim)


def test_vectors_of_another_length_end_the_task(base_url: str, remote: OpenAIEmbedder) -> None:
    assert remote.dim == 64
    break_next(base_url, Fault("wrong_dimension"))
    with pytest.raises(Permanent, match="63 numbers") as raised:
        remote.embed(["tide"])
    assert raised.value.code == "wrong_dimension"


@pytest.mark.parametrize("fault", [Fault("cut"), Fault("status", status=502)], ids=["cut", "502"])
def test_a_server_that_fails_is_unavailable(
    base_url: str, remote: OpenAIEmbedder, fault: Fault
) -> None:
    assert remote.dim == 64
    break_next(base_url, fault)
    with pytest.raises(Unavailable):
        remote.embed(["tide"])
    assert remote.embed(["tide"]).shape == (1, 64)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    opened = SqliteFile(tmp_path / "cache.db")
    yield opened
    opened.close()


def test_a_text_is_embedded_once(file: SqliteFile) -> None:
    counting = CountingEmbedder()
    cached = CachedEmbedder(counting, file)
    first = cached.embed(["tide", "mill", "tide"])
    again = CachedEmbedder(counting, file).embed(["mill", "wheel", "tide"])
    assert counting.passages == ["tide", "mill", "wheel"]
    assert np.array_equal(again[[2, 0, 2]], first)
    assert np.allclose(again, HashingEmbedder(counting.dim).embed(["mill", "wheel", "tide"]))
    assert cached.embed([]).shape == (0, counting.dim)


def test_models_and_kinds_of_text_are_kept_apart(file: SqliteFile) -> None:
    small, large = CountingEmbedder(), HashingEmbedder(512)
    assert CachedEmbedder(small, file).embed(["tide"]).shape == (1, small.dim)
    assert CachedEmbedder(large, file).embed(["tide"]).shape == (1, 512)
    CachedEmbedder(small, file).embed(["tide"], "query")
    CachedEmbedder(small, file).embed(["tide"])
    (kept,) = file.connection().execute("SELECT count(*) FROM embedding").fetchone()
    assert kept == 3


def test_vectors_of_a_transaction_that_fails_are_not_kept(file: SqliteFile) -> None:
    counting = CountingEmbedder()
    cached = CachedEmbedder(counting, file)
    with pytest.raises(LookupError):
        embed_and_fail(cached, file)
    cached.embed(["tide"])
    assert counting.passages == ["tide", "tide"]


def embed_and_fail(cached: CachedEmbedder, file: SqliteFile) -> None:
    with file.transaction():
        cached.embed(["tide"])
        raise LookupError
