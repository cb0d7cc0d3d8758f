"""Mail kept so that it is found again, by its meaning and by its words.

Words need no model: they are one collection. Vectors of two models cannot be compared: each model
has a collection of its own, a generation, and an alias says which one answers. Another model is
another `MailIndex` over the same stores: `put` every mail into it, then `switch`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from tidemill import Permanent, Retry
from tidemill_apps.mailroom.search.passages import MAX_CHARACTERS, Passage, passages_of
from tidemill_apps.services.embedder import Embedder
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.fusion import Fused, fuse
from tidemill_apps.services.keywords import KeywordIndex, KeywordRow
from tidemill_apps.services.vectors import (
    AtMost,
    Filter,
    Found,
    Scalar,
    UnknownCollection,
    VectorRow,
    VectorStore,
)

LIVE: Final = "mail"
"""The alias of the generation that answers, and the collection of words."""

_CANDIDATES: Final = 100
"""Passages that either search brings: a mail may have several among them."""

_DOWN: Final = (Unavailable, Retry, Permanent)


class Hit(msgspec.Struct, frozen=True):
    """A mail that answers a question, with its best passage.

    `score` is relative: it orders the hits of one question. The ranks count mails from 1; `None`
    where that search did not find the mail.
    """

    mail_id: str
    text: str
    score: float
    vector_rank: int | None
    keyword_rank: int | None


class Hits(msgspec.Struct, frozen=True):
    """The answer to a question, best first.

    `degraded`: words alone were asked, since vectors could not be (`reason` tells why):
    paraphrases and other languages are missing.
    """

    hits: tuple[Hit, ...]
    degraded: bool = False
    reason: str | None = None


def generation(model_id: str) -> str:
    """Return the name of the collection that has a model's vectors of mail."""
    return f"{LIVE}-{model_id}"


class MailIndex:
    """The mail of every user; a question is answered with the mail of one user only.

    `embedder` makes the vectors that this index writes. `former` are embedders that answer as long
    as the live generation is still theirs. A passage has at most so many `characters`. `together`
    is a transaction that both stores join, where they share a file: each commit costs other writers
    their turn. Every method blocks, and is safe from any thread and to repeat. What an embedder or
    a store raises (`Unavailable`, `Retry`, `Permanent`) comes through, except where `search`
    degrades.
    """

    def __init__(
        self,
        vectors: VectorStore,
        keywords: KeywordIndex,
        embedder: Embedder,
        *,
        former: Sequence[Embedder] = (),
        characters: int = MAX_CHARACTERS,
        together: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.generation = generation(embedder.model_id)
        self._vectors = vectors
        self._keywords = keywords
        self._embedder = embedder
        self._embedders = {generation(each.model_id): each for each in (*former, embedder)}
        self._characters = characters
        self._together = together
        self._begun = False

    def put(
        self, user_id: str, mail_id: str, subject: str, text: str, sent_at: datetime | None
    ) -> int:
        """Let the mail be found; answer how many passages it has.

        While the embedder is down its words are there, so that it is found by them. A passage that
        has a vector is not embedded again; what the mail no longer says is removed at the end.
        """
        pieces = passages_of(mail_id, subject, text, self._characters)
        ids = [piece.id for piece in pieces]
        fields = _fields(user_id, sent_at)
        words = [KeywordRow(piece.id, mail_id, piece.text, fields) for piece in pieces]
        try:
            self._begin()
            kept = set(self._vectors.ids(self.generation, mail_id))
            new = [piece for piece in pieces if piece.id not in kept]
            vectors = self._embedded(mail_id, new, fields)
        except Exception:
            self._keywords.put(LIVE, words)
            raise
        with self._together():
            self._keywords.put(LIVE, words)
            self._vectors.upsert(self.generation, vectors)
            if stale := sorted(kept.difference(ids)):
                self._vectors.delete(self.generation, {"document_id": mail_id, "id": stale})
            self._keywords.delete(LIVE, mail_id, keep=ids)
        return len(pieces)

    def remove(self, mail_id: str) -> None:
        """Forget the mail, in every generation."""
        for collection in self._vectors.collections():
            if collection.name.startswith(generation("")):
                self._vectors.delete(collection.name, {"document_id": mail_id})
        self._keywords.delete(LIVE, mail_id)

    def search(
        self,
        user_id: str,
        question: str,
        k: int = 10,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Hits:
        """Return at most `k` mails of the user, each once, sent within the time if one is given.

        The two searches find different things: vectors paraphrases and other languages, words names
        and numbers. A mail without a date has been sent at no time.
        """
        only = _filter(user_id, since, until)
        candidates = max(k, _CANDIDATES)
        near, reason = self._near(question, candidates, only)
        keyed = self._keywords.search(LIVE, question, candidates, only)
        by_meaning = _firsts((found.document_id, found.id) for found in near)
        by_words = _firsts((found.document_id, found.id) for found in keyed)
        texts = self._keywords.texts(LIVE, {*by_meaning.values(), *by_words.values()})
        hits = (
            _hit(
                fused,
                [texts.get(by_meaning.get(fused.id, "")), texts.get(by_words.get(fused.id, ""))],
            )
            for fused in fuse(list(by_meaning), list(by_words))
        )
        known = (hit for hit in hits if hit is not None)
        return Hits(tuple(islice(known, k)), reason is not None, reason)

    def live(self) -> str | None:
        """Return the name of the generation that answers; None before the first mail."""
        try:
            return self._vectors.target(LIVE)
        except UnknownCollection:
            return None

    def switch(self) -> str | None:
        """Let this index' own generation answer from now on, and drop the one that did before.

        Answers the name of what was dropped. Another process that has no embedder of the new
        generation answers by words alone until it is given one.
        """
        before = self.live()
        self._ensure()
        self._vectors.point(LIVE, self.generation)
        if before is None or before == self.generation:
            return None
        self._vectors.drop(before)
        return before

    def _begin(self) -> None:
        """Make the own generation once; the first of all goes live by itself."""
        if not self._begun:
            self._ensure()
            if self.live() is None:
                self._vectors.point(LIVE, self.generation)
            self._begun = True

    def _ensure(self) -> None:
        embedder = self._embedder
        self._vectors.ensure(self.generation, dim=embedder.dim, model_id=embedder.model_id)

    def _embedded(
        self, mail_id: str, pieces: Sequence[Passage], fields: dict[str, Scalar]
    ) -> list[VectorRow]:
        if not pieces:
            return []
        vectors = self._embedder.embed([piece.text for piece in pieces])
        rows = zip(pieces, vectors, strict=True)
        return [VectorRow(piece.id, mail_id, vector, fields) for piece, vector in rows]

    def _near(self, question: str, k: int, only: Filter) -> tuple[list[Found], str | None]:
        """Return the passages nearest in meaning, or the reason why none could be asked for."""
        try:
            live = self.live()
            if live is None:
                return [], None
            embedder = self._embedders.get(live)
            if embedder is None:
                return [], f"no embedder for the live vectors, {live}, is at hand"
            [vector] = embedder.embed([question], kind="query")
            return self._vectors.search(live, vector, k, only), None
        except (*_DOWN, UnknownCollection) as error:
            return [], str(error)


def _fields(user_id: str, sent_at: datetime | None) -> dict[str, Scalar]:
    """What filters read. They know upper limits only: the date stands there negative, too."""
    fields: dict[str, Scalar] = {"user_id": user_id}
    if sent_at is not None:
        fields |= {"sent_at": _seconds(sent_at), "sent_at_negative": -_seconds(sent_at)}
    return fields


def _filter(user_id: str, since: datetime | None, until: datetime | None) -> Filter:
    only: dict[str, str | AtMost] = {"user_id": user_id}
    if since is not None:
        only["sent_at_negative"] = AtMost(-_seconds(since))
    if until is not None:
        only["sent_at"] = AtMost(_seconds(until))
    return only


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _firsts(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the best passage of each mail, the mails in the order of their best ones."""
    best: dict[str, str] = {}
    for mail_id, passage_id in found:
        best.setdefault(mail_id, passage_id)
    return best


def _hit(fused: Fused, texts: Sequence[str | None]) -> Hit | None:
    """Return a hit with the text of the search that ranks the mail higher.

    None for a mail of which neither passage is there any more.
    """
    vector_rank, keyword_rank = fused.ranks
    ranked = sorted(
        (rank, text) for rank, text in zip(fused.ranks, texts, strict=True) if rank and text
    )
    if not ranked:
        return None
    return Hit(fused.id, ranked[0][1], fused.score, vector_rank, keyword_rank)
