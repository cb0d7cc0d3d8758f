"""Vectors kept by the text that they are of, so that no text is embedded twice."""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files

import numpy as np

from tidemill_apps.services.embedder import Embedder, EmbedKind, Matrix
from tidemill_apps.services.sqlite_file import SqliteFile


class CachedEmbedder:
    """An `Embedder` that asks another one only for texts that `file` does not have yet.

    Vectors of two models are kept apart. What is new is written in one transaction, or in the one
    that the thread has open on `file`.
    """

    def __init__(self, embedder: Embedder, file: SqliteFile) -> None:
        self._embedder = embedder
        self._file = file
        self.model_id = embedder.model_id
        file.run_script(files(__package__).joinpath("embedding_cache.sql").read_text("utf-8"))

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return self._embedder.dim

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        """Answer from the table where it can; equal texts of one call are embedded once."""
        keys = [_key(text, kind) for text in texts]
        known = self._known(keys)
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            made = dict(zip(new, self._embedder.embed(list(new.values()), kind), strict=True))
            self._keep(made)
            known |= made
        return np.stack([known[key] for key in keys]) if keys else self._embedder.embed([], kind)

    def _known(self, keys: Sequence[str]) -> dict[str, Matrix]:
        rows = self._file.connection().execute(
            "SELECT text_sha256, values_f32 FROM embedding WHERE model_id = ?"
            " AND text_sha256 IN (SELECT value FROM json_each(?))",
            (self.model_id, json.dumps(keys)),
        )
        return {key: np.frombuffer(values, "<f4").astype(np.float32) for key, values in rows}

    def _keep(self, made: dict[str, Matrix]) -> None:
        with self._file.transaction() as connection:
            connection.executemany(
                "INSERT INTO embedding (text_sha256, model_id, values_f32) VALUES (?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                [(key, self.model_id, row.astype("<f4").tobytes()) for key, row in made.items()],
            )


def _key(text: str, kind: EmbedKind) -> str:
    return hashlib.sha256(f"{kind}\0{text}".encode(errors="surrogatepass")).hexdigest()
