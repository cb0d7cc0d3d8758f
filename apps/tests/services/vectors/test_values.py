"""Ids of passages, parameters of indexes, URLs of stores."""

import uuid
from pathlib import Path

import pytest

from tidemill import ConfigError
from tidemill_apps.services.vectors import IndexParams, SqliteVectors, open_vectors, row_id


def test_the_same_passage_has_the_same_id_for_ever() -> None:
    assert row_id("d1", "body", 0, "潮汐") == "de2667b8-9a19-58ba-83c3-3bff81241376"
    assert uuid.UUID(row_id("d1", "body", 0, "潮汐")).version == 5


def test_another_document_kind_place_or_text_has_another_id() -> None:
    passages = [("d", "k", 0, "t"), ("d2", "k", 0, "t"), ("d", "k2", 0, "t")]
    passages += [("d", "k", 1, "t"), ("d", "k", 0, "t2"), ("d", "k", 0, "lone \ud83c")]
    assert len({row_id(*passage) for passage in passages}) == len(passages)


@pytest.mark.parametrize(("m", "ef"), [(1, 200), (101, 300), (16, 31), (2, 3), (16, 1001)])
def test_an_index_that_not_every_store_builds_is_refused(m: int, ef: int) -> None:
    with pytest.raises(ValueError, match=f"not {m} and {ef}"):
        IndexParams(m, ef)


@pytest.mark.parametrize(("m", "ef"), [(2, 4), (100, 200), (16, 1000)])
def test_the_ends_of_what_every_store_builds_are_taken(m: int, ef: int) -> None:
    assert IndexParams(m, ef).m == m


def test_a_sqlite_url_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///here.db", f"sqlite:///{tmp_path}/there.db"):
        store = open_vectors(url)
        assert isinstance(store, SqliteVectors)
        store.close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"here.db", "there.db"}


@pytest.mark.parametrize("url", ["", "vectors.db", "redis://127.0.0.1", "mysql://u:secret@h/d"])
def test_a_url_of_no_store_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="names no vector store") as refused:
        open_vectors(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://vectors.db"])
def test_a_sqlite_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        open_vectors(url)
