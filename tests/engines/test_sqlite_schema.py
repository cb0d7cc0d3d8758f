"""The SQLite engine's schema, and that no statement reads tasks without an index."""

import re
from importlib.resources import files
from pathlib import Path

import apsw
import pytest

from tidemill.engines.sqlite.connection import connect
from tidemill.engines.sqlite.schema import migrate, migrations
from tidemill.engines.sqlite.statements import statement

GOLDEN = Path(__file__).with_name("test_sqlite_schema.golden.sql")
FOLDER = files("tidemill.engines.sqlite").joinpath("statements")
FRAGMENTS = {"row", "task"}
AT_AN_END = {"claim_forget", "feed_ends", "last_instant", "ledger"}  # a few rows of one end
NAMES = sorted(
    name
    for entry in FOLDER.iterdir()
    if (name := entry.name.removesuffix(".sql")) not in FRAGMENTS | AT_AN_END
)
BIG = (
    r"(t|m|f|h|a|w|tidemill_(task|log|attempt|progress|body|tag|unique|await|wait|after|claim|feed|"
    r"document|mark|fire|tally|total))"
)


@pytest.fixture
def on(tmp_path: Path) -> apsw.Connection:
    connection = connect(tmp_path / "a.db", "standard", write=True)
    migrate(connection)
    return connection


def test_the_schema_is_the_one_that_was_agreed(on: apsw.Connection) -> None:
    """Change it by a new migration; then write what this test prints into the golden file."""
    rows = on.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
    schema = "".join(f"{sql};\n" for (sql,) in rows)
    assert schema == GOLDEN.read_text("utf-8")


def test_migrating_again_changes_nothing(on: apsw.Connection) -> None:
    before = on.pragma("schema_version")
    migrate(on)
    assert on.pragma("schema_version") == before
    assert on.pragma("user_version") == len(migrations())


def test_a_migration_that_fails_leaves_no_trace(
    on: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*migrations(), "CREATE TABLE half (a); CREATE TABLE broken (")
    monkeypatch.setattr("tidemill.engines.sqlite.schema.migrations", lambda: broken)
    with pytest.raises(apsw.SQLError):
        migrate(on)
    assert on.pragma("user_version") == len(broken) - 1
    assert not on.table_exists("main", "half")


def test_migrations_are_numbered_without_gaps() -> None:
    folder = files("tidemill.engines.sqlite").joinpath("migrations")
    numbers = sorted(int(entry.name[:4]) for entry in folder.iterdir() if entry.name[:4].isdigit())
    assert numbers == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_no_statement_looks_at_every_task(on: apsw.Connection, name: str) -> None:
    text = statement(name)
    given = re.search(r"given\s*\(([^)]*)\)", text)
    width = given[1].count(",") + 1 if given else 0
    text = text.replace("{rows}", f"({','.join(['NULL'] * width)})")
    plan = on.execute(f"EXPLAIN QUERY PLAN {text}", _bound(text)).fetchall()
    steps = [str(step[3]) for step in plan]
    whole = [step for step in steps if re.match(rf"SCAN {BIG}( |$)(?!.*INDEX)", step)]
    assert not whole, steps


def _bound(text: str) -> tuple[None, ...]:
    numbered = [int(n) for n in re.findall(r"\?(\d+)", text)]
    plain = len(re.findall(r"\?(?!\d)", text))
    return (None,) * max([plain, *numbered])
