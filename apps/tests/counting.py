"""Embedders that remember what they were given."""

import itertools
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from tidemill_apps.services.embedder import EmbedKind, HashingEmbedder, Matrix


class CountingEmbedder:
    """The hashing embedder, with a list of the passages that it was asked for.

    `gate`: where it is given, each batch of passages waits for it to be released once.
    """

    def __init__(self, gate: threading.Semaphore | None = None) -> None:
        self._embedder = HashingEmbedder()
        self._gate = gate
        self.dim = self._embedder.dim
        self.model_id = self._embedder.model_id
        self.passages: list[str] = []

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        if kind == "passage":
            if self._gate is not None:
                self._gate.acquire()
            self.passages += texts
        return self._embedder.embed(texts, kind)


class LoggingEmbedder:
    """The hashing embedder, with a line in a file for every batch, before it is embedded.

    The batches after the first `stall_after` of this process never return.
    """

    def __init__(self, log: Path, stall_after: int | None) -> None:
        self._embedder = HashingEmbedder()
        self.dim = self._embedder.dim
        self.model_id = self._embedder.model_id
        self._log = log
        self._stall_after = stall_after
        self._begun = itertools.count(1)

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        if kind == "passage":
            number = next(self._begun)
            with self._log.open("a") as opened:
                opened.write(json.dumps([os.getpid(), list(texts)]) + "\n")
            if self._stall_after is not None and number > self._stall_after:
                threading.Event().wait()
        return self._embedder.embed(texts, kind)
