"""How well and how fast real mail is found (`python -m apps.tests.mailroom.search.figures`).

All 6,046 mails of the corpus, as one user's, with the encoder that carries its weights: about four
minutes. With a number as its argument, mails have at most so many passages. Everything is in a
folder of its own that is removed at the end.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple

import tidemill_apps.mailroom.search.passages as cutting
from apps.tests.mailroom.corpus import samples
from tidemill_apps.mailroom.message import Mail, parse_mail
from tidemill_apps.mailroom.search import Hit, MailIndex
from tidemill_apps.services.embedder import EmbedKind, Matrix, SentenceEncoder
from tidemill_apps.services.keywords import SqliteKeywords
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import SqliteVectors

_DEPTH: Final = 50


class Question(NamedTuple):
    """A question, and what stands in the subject of every mail that answers it."""

    text: str
    subject: str


QUESTIONS: Final = (
    Question(
        "Which VPN should I choose to join several offices, some of them with Macs?",
        "VPN implementation",
    ),
    Question(
        "scanning vinyl records on a flatbed scanner to hear the music",
        "The Needle and the damage done",
    ),
    Question(
        "Should identical junk messages be removed before the classifier is trained?",
        'deleting "duplicate" spam before training?',
    ),
    Question(
        "What is the best way to copy a whole disk without breaking hard links?",
        "How to copy some files",
    ),
    Question("How can I sort the messages of all my folders at once?", "Sorting"),
    Question("a company mailed me a cheque for a few cents", "The absurdities of life."),
    Question(
        "joke about a priest who enters a bar and the lights go out",
        "A pastor walked into a neighborhood pub",
    ),
    Question(
        "Do professional athletes play video games about their own sport?",
        "Football players addicted to video football",
    ),
    Question("寻找AB型血的人捐献骨髓", "如果你是AB型血型"),
    Question("用扫描仪扫描黑胶唱片能得到音乐吗?", "The Needle and the damage done"),
)
"""Written before the first search, with other words than the mails'; the last one asks in Chinese
what an English mail answers."""


class TimedEncoder:
    """The sentence encoder, with the time and the passages that it has taken so far."""

    def __init__(self) -> None:
        self._encoder = SentenceEncoder()
        self.dim = self._encoder.dim
        self.model_id = self._encoder.model_id
        self.seconds = 0.0
        self.passages = 0
        self._encoder.embed(["loads the weights"])

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        started = time.perf_counter()
        made = self._encoder.embed(texts, kind)
        self.seconds += time.perf_counter() - started
        self.passages += len(texts)
        return made


def rank(hits: Sequence[Hit], subjects: dict[str, str], wanted: str, way: str) -> int | None:
    """The best rank of a mail that answers: by `vector_rank`, by `keyword_rank`, or fused."""
    ranks = [
        place if way == "hybrid" else getattr(hit, way)
        for place, hit in enumerate(hits, 1)
        if wanted.lower() in subjects[hit.mail_id].lower()
    ]
    return min((each for each in ranks if each is not None and each <= _DEPTH), default=None)


def fill(index: MailIndex, encoder: TimedEncoder, mails: Sequence[Mail]) -> None:
    cuts, seconds = [], []
    started = time.perf_counter()
    for number, mail in enumerate(mails):
        begun = time.perf_counter()
        cuts.append(index.put("ann", str(number), mail.subject, mail.text, mail.sent_at))
        seconds.append(time.perf_counter() - begun)
    took = time.perf_counter() - started
    print(
        f"{len(mails)} mails, {sum(cuts)} passages: {sum(cuts) / len(cuts):.1f} a mail,"
        f" median {median(cuts):g}, 95 % have at most {quantiles(cuts, n=20)[18]:g},"
        f" {sum(cut == cutting.MAX_PASSAGES for cut in cuts) / len(cuts):.1%} have the most"
    )
    print(
        f"put: {took:.0f} s, {1e3 * took / len(mails):.1f} ms a mail"
        f" (p95 {1e3 * quantiles(seconds, n=20)[18]:.0f} ms), of which embedding"
        f" {1e3 * encoder.seconds / len(mails):.1f} ms; {encoder.passages / encoder.seconds:.0f}"
        " passages embedded a second"
    )


def ask(index: MailIndex, subjects: dict[str, str]) -> None:
    ways = ("vector_rank", "keyword_rank", "hybrid")
    table, seconds = [], []
    for question in QUESTIONS:
        begun = time.perf_counter()
        hits = index.search("ann", question.text, 200).hits
        seconds.append(time.perf_counter() - begun)
        table.append([rank(hits, subjects, question.subject, way) for way in ways])
        shown = "  ".join(f"{place or '-':>7}" for place in table[-1])
        print(f"{shown}   {question.text}")
    for way, ranks in zip(ways, zip(*table, strict=True), strict=True):
        known = [place for place in ranks if place is not None]
        print(
            f"{way:13} first {sum(place == 1 for place in known)}, in the top 3"
            f" {sum(place <= 3 for place in known)}, in the top 10"
            f" {sum(place <= 10 for place in known)} of {len(QUESTIONS)};"
            f" mean reciprocal rank {sum(1 / place for place in known) / len(QUESTIONS):.2f}"
        )
    print(f"search: median {1e3 * median(seconds):.0f} ms, most {1e3 * max(seconds):.0f} ms")


def main(arguments: Sequence[str]) -> None:
    if arguments:
        setattr(cutting, "MAX_PASSAGES", int(arguments[0]))  # noqa: B010  it is Final elsewhere
    mails = [parse_mail(sample.data) for sample in samples()]
    encoder = TimedEncoder()
    with tempfile.TemporaryDirectory(prefix="tidemill-search-") as folder:
        file = SqliteFile(Path(folder) / "search.db")
        index = MailIndex(SqliteVectors(file), SqliteKeywords(file), encoder)
        fill(index, encoder, mails)
        print("vectors    words   hybrid   (rank of the first mail that answers)")
        ask(index, {str(number): mail.subject for number, mail in enumerate(mails)})
        file.close()


if __name__ == "__main__":
    main(sys.argv[1:])
