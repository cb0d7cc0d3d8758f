"""Texts to vectors by any server that speaks OpenAI's `/v1/embeddings`."""

from collections.abc import Sequence

import httpx
import msgspec
import numpy as np

from tidemill import Permanent
from tidemill_apps.services.embedder import BATCH_SIZE, EmbedKind, Matrix
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.openai_api import Endpoint


class _Row(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Row]


class OpenAIEmbedder:
    """An `Embedder` over HTTP; it asks once, and the task that called it tries again.

    Raises what `services.errors` says of the server's answers, and `Permanent` with the code
    `wrong_dimension` for vectors of another length than `dim`. Whoever made `client` closes it.
    """

    def __init__(self, endpoint: Endpoint, client: httpx.Client, dim: int | None = None) -> None:
        self._endpoint = endpoint
        self._client = client
        self._dim = dim
        self.model_id = endpoint.model

    @property
    def dim(self) -> int:
        """How many numbers a vector has; asks the server once where it was not said."""
        if self._dim is None:
            self._dim = len(self._rows(["dimension"])[0].embedding)
        return self._dim

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        """Embed in batches of `BATCH_SIZE`, each row made a unit vector."""
        del kind
        rows = np.empty((len(texts), self.dim if texts else self._dim or 0), np.float32)
        for start in range(0, len(texts), BATCH_SIZE):
            batch = list(texts[start : start + BATCH_SIZE])
            rows[start : start + len(batch)] = [self._checked(row) for row in self._rows(batch)]
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows

    def _rows(self, texts: list[str]) -> list[_Row]:
        try:
            response = self._client.post(
                self._endpoint.url("embeddings"),
                headers=self._endpoint.headers,
                timeout=self._endpoint.timeouts,
                json={
                    "model": self._endpoint.model,
                    "input": [text or " " for text in texts],  # an empty one is refused by many
                    "encoding_format": "float",
                },
            )
        except httpx.TransportError as error:
            raise self._endpoint.unreachable(error) from error
        rows = sorted(self._endpoint.read(response, _Answer).data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(len(texts))):
            raise Unavailable(
                f"{self._endpoint.provider} answered {len(rows)} vectors for {len(texts)} texts",
                "bad_answer",
            )
        return rows

    def _checked(self, row: _Row) -> list[float]:
        if len(row.embedding) != self.dim:
            raise Permanent(
                f"{self._endpoint.provider} answered a vector of {len(row.embedding)} numbers for "
                f"the model {self.model_id}, which has {self.dim}: another model is behind that "
                "name now; index into a new collection",
                code="wrong_dimension",
            )
        return row.embedding
