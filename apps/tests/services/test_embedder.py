"""Vectors of texts: shapes, order, lengths, threads; what the real encoder understands."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tidemill_apps.services.embedder import BATCH_SIZE, Embedder, HashingEmbedder, SentenceEncoder


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(params=["hashing", "sentences"])
def any_embedder(request: pytest.FixtureRequest, encoder: SentenceEncoder) -> Embedder:
    return HashingEmbedder() if request.param == "hashing" else encoder


def test_no_texts_give_a_matrix_without_rows(any_embedder: Embedder) -> None:
    assert any_embedder.embed([]).shape == (0, any_embedder.dim)


def test_each_text_gets_the_same_unit_row_alone_and_in_company(any_embedder: Embedder) -> None:
    texts = [f"sentence number {number} about tides" for number in range(BATCH_SIZE + 5)]
    together = any_embedder.embed(texts)
    assert together.dtype == np.float32
    assert together.shape == (len(texts), any_embedder.dim)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    assert np.allclose(together[-1], any_embedder.embed([texts[-1]])[0], atol=1e-5)


def test_odd_texts_are_embedded_like_any_other(any_embedder: Embedder) -> None:
    assert np.isfinite(any_embedder.embed(["", "\0", "\N{WATER WAVE}", "\n", "x" * 5000])).all()


def test_threads_that_share_a_fresh_encoder_load_it_once_and_agree() -> None:
    fresh = SentenceEncoder()
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda _: fresh.embed(["the tide is rising"]), range(8)))
    assert all(np.array_equal(rows[0], row) for row in rows)


def test_the_encoder_finds_a_paraphrase_in_another_language(encoder: SentenceEncoder) -> None:
    question = encoder.embed(["怎样复制一个文件?"], kind="query")[0]
    passages = ["The mill was built in 1846.", "How to copy a file", "Send an email to a friend"]
    assert int(np.argmax(encoder.embed(passages) @ question)) == 1


def test_the_hashing_embedder_finds_the_same_spelling() -> None:
    embedder = HashingEmbedder()
    question = embedder.embed(["tide mills"])[0]
    scores = embedder.embed(["windmills grind corn", "the tide mill", "an email"]) @ question
    assert int(np.argmax(scores)) == 1
