"""An embedder that remembers what it was given."""

from collections.abc import Sequence

from tidemill_apps.services.embedder import EmbedKind, HashingEmbedder, Matrix


class CountingEmbedder:
    """The hashing embedder, with a list of the passages that it was asked for."""

    def __init__(self) -> None:
        self._embedder = HashingEmbedder()
        self.dim = self._embedder.dim
        self.model_id = self._embedder.model_id
        self.passages: list[str] = []

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        if kind == "passage":
            self.passages += texts
        return self._embedder.embed(texts, kind)
