"""Mail put, found, moved to another model, and never shown to another user."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.tests.counting import CountingEmbedder
from tidemill import Permanent, Retry
from tidemill_apps.mailroom.search import Hits, MailIndex, generation
from tidemill_apps.services.embedder import Embedder, EmbedKind, HashingEmbedder, Matrix
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.keywords import SqliteKeywords
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import SqliteVectors

MILL = "The wheel of the mill turns when the water falls."
LONG = "\n\n".join(f"Paragraph {n} tells of tides. " + "It turns. " * 40 for n in range(6))
MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))


class DownEmbedder:
    """An embedder whose server cannot do it now, or has been told to for good."""

    def __init__(self, error: Exception) -> None:
        self.dim = 256
        self.model_id = CountingEmbedder().model_id
        self._error = error

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        raise self._error


class Stores:
    """One file with both stores, under as many indexes as a test wants."""

    def __init__(self, path: Path) -> None:
        self.file = SqliteFile(path)
        self.vectors = SqliteVectors(self.file)
        self.keywords = SqliteKeywords(self.file)

    def index(self, embedder: Embedder, *, former: Sequence[Embedder] = ()) -> MailIndex:
        return MailIndex(self.vectors, self.keywords, embedder, former=former)

    def counts(self, name: str = "mail") -> tuple[int, int]:
        return self.vectors.count(name), self.keywords.count("mail")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    opened = Stores(tmp_path / "search.db")
    yield opened
    opened.file.close()


@pytest.fixture
def index(stores: Stores, embedder: CountingEmbedder) -> MailIndex:
    return stores.index(embedder)


@pytest.fixture
def filled(index: MailIndex) -> MailIndex:
    index.put("ann", "mill", "Mills", MILL, MAY)
    index.put("ann", "cat", "Cats", "The cat sleeps on the mat.", JUNE)
    index.put("ann", "long", "Tides", LONG, JULY)
    index.put("bob", "磨坊", "潮汐磨坊", "潮水落下的时候,磨坊的水轮转动。", None)
    return index


def mails(hits: Hits) -> list[str]:
    return [hit.mail_id for hit in hits.hits]


def test_a_mail_is_found_by_its_meaning_and_by_its_words(filled: MailIndex) -> None:
    hits = filled.search("ann", "When does the wheel of a mill turn?", 2)
    best = hits.hits[0]
    assert (best.mail_id, best.vector_rank, best.keyword_rank) == ("mill", 1, 1)
    assert best.text == f"Mills\n\n{MILL}"
    assert len(hits.hits) == 2
    assert (hits.degraded, hits.reason) == (False, None)


def test_a_mail_is_one_hit_with_the_passage_that_answers(filled: MailIndex) -> None:
    hits = filled.search("ann", "paragraph 4")
    assert sorted(mails(hits)) == ["cat", "long", "mill"]
    [long] = (hit for hit in hits.hits if hit.mail_id == "long")
    assert long.keyword_rank == 1
    assert "Paragraph 4 tells" in long.text


def test_nobody_sees_the_mail_of_another_user(filled: MailIndex) -> None:
    assert mails(filled.search("bob", f"Mills {MILL}")) == ["磨坊"]
    assert "磨坊" not in mails(filled.search("ann", "潮汐磨坊 水轮"))
    assert mails(filled.search("eve", MILL)) == []
    assert mails(filled.search("' OR 1=1 --", MILL)) == []


def test_a_users_mail_is_found_among_much_of_others(filled: MailIndex) -> None:
    for number in range(110):
        filled.put("bob", f"copy {number}", "Mills", MILL, MAY)
    assert mails(filled.search("ann", MILL))[0] == "mill"


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, MAY, ["mill"]),
        (JUNE, None, ["cat", "long"]),
        (MAY, JUNE, ["cat", "mill"]),
        (JULY, MAY, []),
    ],
)
def test_a_search_may_be_of_a_time(
    filled: MailIndex, since: datetime | None, until: datetime | None, expected: list[str]
) -> None:
    hits = filled.search("ann", "the mill tide cat", since=since, until=until)
    assert sorted(mails(hits)) == expected
    assert mails(filled.search("bob", "磨坊", since=MAY)) == []


def test_putting_twice_embeds_nothing_and_changes_nothing(
    filled: MailIndex, stores: Stores, embedder: CountingEmbedder
) -> None:
    before, hits = stores.counts(), filled.search("ann", "tides")
    embedder.passages.clear()
    assert filled.put("ann", "long", "Tides", LONG, JULY) == 6
    assert embedder.passages == []
    assert stores.counts() == before
    assert filled.search("ann", "tides") == hits


def test_a_changed_mail_embeds_what_is_new_and_loses_what_is_gone(
    filled: MailIndex, stores: Stores, embedder: CountingEmbedder
) -> None:
    vectors, words = stores.counts()
    embedder.passages.clear()
    shorter = LONG.partition("Paragraph 4")[0].replace("Paragraph 2 tells", "Paragraph 2 sings")
    assert filled.put("ann", "long", "Tides", shorter, JULY) == 4
    assert [text[:25] for text in embedder.passages] == ["Tides\n\nParagraph 2 sings "]
    assert stores.counts() == (vectors - 2, words - 2)
    assert all("Paragraph 5" not in hit.text for hit in filled.search("ann", "Paragraph 5").hits)


def test_a_mail_that_says_nothing_any_more_is_gone(filled: MailIndex, stores: Stores) -> None:
    assert filled.put("ann", "mill", "", "--", MAY) == 0
    assert "mill" not in mails(filled.search("ann", MILL))
    assert stores.vectors.ids("mail", "mill") == []


def test_a_removed_mail_is_found_no_more(filled: MailIndex, stores: Stores) -> None:
    filled.remove("mill")
    filled.remove("mill")
    assert "mill" not in mails(filled.search("ann", MILL))
    assert stores.vectors.ids("mail", "mill") == []


def test_an_empty_index_has_no_hits_and_nothing_to_remove(index: MailIndex) -> None:
    assert index.search("ann", MILL) == Hits(())
    index.remove("mill")
    assert index.live() is None


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("it is down", "http_503"),
        Retry(5, "busy"),
        Permanent("no key", code="auth_failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_words_answer_alone_and_say_so_while_the_embedder_is_down(
    filled: MailIndex, stores: Stores, error: Exception
) -> None:
    hits = stores.index(DownEmbedder(error)).search("ann", "the wheel of the mill")
    assert hits.degraded
    assert hits.reason == str(error)
    assert (hits.hits[0].mail_id, hits.hits[0].vector_rank) == ("mill", None)


def test_a_mail_that_came_while_the_embedder_was_down_is_found_by_words_and_mended(
    filled: MailIndex, stores: Stores
) -> None:
    down = stores.index(DownEmbedder(Unavailable("it is down", "http_503")))
    with pytest.raises(Unavailable):
        down.put("ann", "owl", "Owls", "An owl lives in the mill.", MAY)
    [hit] = (hit for hit in filled.search("ann", "owl").hits if hit.mail_id == "owl")
    assert (hit.vector_rank, hit.keyword_rank) == (None, 1)
    filled.put("ann", "owl", "Owls", "An owl lives in the mill.", MAY)
    assert filled.search("ann", "An owl lives in the mill").hits[0].vector_rank == 1


def test_the_old_generation_answers_until_the_switch_and_is_dropped_then(
    filled: MailIndex, stores: Stores, embedder: CountingEmbedder
) -> None:
    old, new = embedder, HashingEmbedder(64)
    rebuilt = stores.index(new, former=[old])
    before = filled.search("ann", "mill wheel")
    rebuilt.put("ann", "mill", "Mills", MILL, MAY)
    assert filled.live() == generation(old.model_id)
    assert filled.search("ann", "mill wheel") == rebuilt.search("ann", "mill wheel") == before

    assert rebuilt.switch() == generation(old.model_id)
    assert rebuilt.live() == rebuilt.generation == "mail-hashed-trigrams-64"
    assert [each.name for each in stores.vectors.collections()] == [rebuilt.generation]
    assert rebuilt.search("ann", "mill wheel").hits[0].mail_id == "mill"
    assert rebuilt.switch() is None
    assert stores.counts()[0] == 1


def test_a_process_with_the_old_embedder_answers_by_words_after_the_switch(
    filled: MailIndex, stores: Stores
) -> None:
    stores.index(HashingEmbedder(64)).switch()
    hits = filled.search("ann", "mill wheel")
    assert hits.degraded
    assert hits.reason == "no embedder for the live vectors, mail-hashed-trigrams-64, is at hand"
    assert hits.hits[0].mail_id == "mill"


def test_a_mail_removed_during_a_rebuild_is_in_no_generation(
    filled: MailIndex, stores: Stores
) -> None:
    rebuilt = stores.index(HashingEmbedder(64))
    rebuilt.put("ann", "mill", "Mills", MILL, MAY)
    filled.remove("mill")
    assert stores.vectors.ids(rebuilt.generation, "mill") == []
    assert stores.vectors.ids("mail", "mill") == []
