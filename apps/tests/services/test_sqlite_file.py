"""One file, many threads and transactions."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidemill_apps.services.sqlite_file import SqliteFile


@pytest.fixture
def numbers(file: SqliteFile) -> SqliteFile:
    file.run_script("CREATE TABLE IF NOT EXISTS number (n INTEGER);\n")
    return file


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


def test_a_closed_file_opens_again_on_use(numbers: SqliteFile) -> None:
    numbers.close()
    assert count(numbers) == 0


def test_a_folder_that_does_not_exist_is_named_as_unable_to_open(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        SqliteFile(tmp_path / "missing" / "knowledge.db").connection()
