"""One file, many threads and transactions."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tidemill_apps.services.sqlite_file import SqliteFile, journal_mode


@pytest.fixture(params=["WAL", "TRUNCATE"])
def numbers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteFile]:
    """A table of numbers in a file with either journal."""
    file = SqliteFile(tmp_path / "numbers.db", request.param)
    file.run_script("CREATE TABLE IF NOT EXISTS number (n INTEGER);\n")
    yield file
    file.close()


def count(file: SqliteFile) -> int:
    return int(file.connection().execute("SELECT count(*) FROM number").fetchone()[0])


def test_a_block_that_raises_leaves_nothing(numbers: SqliteFile) -> None:
    def fail() -> None:
        with numbers.transaction() as connection:
            connection.execute("INSERT INTO number VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count(numbers) == 0


def test_an_inner_transaction_lives_and_dies_with_the_outer_one(numbers: SqliteFile) -> None:
    def fail() -> None:
        with numbers.transaction():
            with numbers.transaction() as inner:
                inner.execute("INSERT INTO number VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count(numbers) == 0


def test_a_script_is_one_transaction_and_may_run_inside_another(numbers: SqliteFile) -> None:
    script = "INSERT INTO number VALUES (1);\nINSERT INTO missing VALUES (1);\n"
    with pytest.raises(sqlite3.OperationalError, match="missing"):
        numbers.run_script(script)
    assert count(numbers) == 0


def test_threads_write_at_once_and_nothing_is_lost(numbers: SqliteFile) -> None:
    def write(n: int) -> None:
        with numbers.transaction() as connection:
            connection.execute("INSERT INTO number VALUES (?)", (n,))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(200)))
    assert count(numbers) == 200


def test_readers_and_writers_wait_for_each_other_instead_of_failing(numbers: SqliteFile) -> None:
    def work(n: int) -> None:
        if n % 2:
            with numbers.transaction() as connection:
                connection.execute("INSERT INTO number VALUES (?)", (n,))
        else:
            assert count(numbers) >= 0

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(400)))
    assert count(numbers) == 200


@pytest.mark.parametrize(
    ("version", "journal"),
    [
        ((3, 40, 1), "TRUNCATE"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_a_write_ahead_log_is_kept_only_where_sqlite_resets_it_safely(
    version: tuple[int, int, int], journal: str
) -> None:
    assert journal_mode(version) == journal


def test_a_file_has_the_journal_that_this_sqlite_should_keep(file: SqliteFile) -> None:
    kept = file.connection().execute("PRAGMA journal_mode").fetchone()[0]
    assert kept.upper() == journal_mode(sqlite3.sqlite_version_info)


def test_a_closed_file_opens_again_on_use(numbers: SqliteFile) -> None:
    numbers.close()
    assert count(numbers) == 0


def test_a_folder_that_does_not_exist_is_named_as_unable_to_open(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        SqliteFile(tmp_path / "missing" / "knowledge.db").connection()


def test_connections_that_change_to_wal_at_once_wait_for_each_other(tmp_path: Path) -> None:
    together = Barrier(4)

    def change(path: Path) -> None:
        file = SqliteFile(path, "WAL")
        together.wait(10)
        with file.transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
        file.close()

    with ThreadPoolExecutor(4) as threads:
        for number in range(150):
            path = tmp_path / f"{number}.db"
            first = SqliteFile(path, "TRUNCATE")
            first.run_script("CREATE TABLE s (a);")
            first.close()
            for _ in threads.map(change, [path] * 4):
                pass
