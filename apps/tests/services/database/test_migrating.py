"""Tables brought to the version of the code."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.tests.services.database.conftest import urls
from tidemill import ConfigError
from tidemill_apps.services.database import migrate

REVISION = '''
"""A revision."""
import sqlalchemy as sa
from alembic import op

revision, down_revision = {name!r}, {before!r}


def upgrade() -> None:
    {steps}
'''
FIRST = """
    op.create_table("account", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table(
        "mail",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE")),
        sa.Column("subject", sa.Text),
    )
    op.execute("INSERT INTO account (id) VALUES (1)")
    op.execute("INSERT INTO mail (id, account, subject) VALUES (1, 1, 'hello')")
"""
SECOND = """
    with op.batch_alter_table("account", recreate="always") as table:  # mail refers to it
        table.add_column(sa.Column("name", sa.Text, nullable=False, server_default=""))
"""
PACKAGE = "mailbox_for_tests"


class Package:
    """An importable package with a folder of revisions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PACKAGE / "migrations"
        self._folder.mkdir(parents=True)
        (self._folder.parent / "__init__.py").touch()

    def add(self, name: str, before: str | None, steps: str) -> None:
        text = REVISION.format(name=name, before=before, steps=steps.strip())
        (self._folder / f"{name}.py").write_text(text)

    def remove(self, name: str) -> None:
        (self._folder / f"{name}.py").unlink()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(tmp_path / "code")
    yield Package(tmp_path / "code")
    sys.modules.pop(PACKAGE, None)


def up(folder: Path, package: str | None = PACKAGE) -> None:
    url, engine_url = urls(folder)
    asyncio.run(migrate(url, package, engine_url=engine_url))


def ask(folder: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "business.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_the_revisions_of_a_package_run_once_in_order_after_the_shared_ones(
    tmp_path: Path, package: Package
) -> None:
    package.add("mail_1", None, FIRST)
    up(tmp_path)
    up(tmp_path)
    assert ask(tmp_path, "SELECT subject FROM mail") == [("hello",)]
    assert ask(tmp_path, "SELECT count(*) FROM effect_ledger") == [(0,)]
    package.add("mail_2", "mail_1", SECOND)
    up(tmp_path)
    assert ask(tmp_path, "SELECT id, name FROM account") == [(1, "")]
    assert ask(tmp_path, "SELECT subject FROM mail") == [("hello",)]  # the copy removed no mail
    assert ask(tmp_path, f"SELECT version_num FROM {PACKAGE}_revision") == [("mail_2",)]


def test_a_revision_that_fails_leaves_the_version_before_it(
    tmp_path: Path, package: Package
) -> None:
    package.add("mail_1", None, FIRST)
    package.add(
        "mail_2", "mail_1", 'op.execute("CREATE TABLE half (n)")\n    raise ZeroDivisionError'
    )
    with pytest.raises(ZeroDivisionError):
        up(tmp_path)
    tables = {name for (name,) in ask(tmp_path, "SELECT name FROM sqlite_master")}
    assert tables.isdisjoint({"account", "mail", "half", f"{PACKAGE}_revision"})
    assert "outbox" in tables
    package.remove("mail_2")
    up(tmp_path)
    assert ask(tmp_path, "SELECT subject FROM mail") == [("hello",)]


def test_a_revision_that_breaks_a_reference_is_refused_whole(
    tmp_path: Path, package: Package
) -> None:
    package.add("mail_1", None, FIRST)
    up(tmp_path)
    package.add("mail_2", "mail_1", 'op.execute("DELETE FROM account")')
    with pytest.raises(ConfigError, match=r"row 1 of mail without the row of account"):
        up(tmp_path)
    assert ask(tmp_path, "SELECT count(*) FROM account") == [(1,)]


def test_a_database_that_is_newer_than_the_code_is_refused(
    tmp_path: Path, package: Package
) -> None:
    package.add("mail_1", None, FIRST)
    package.add("mail_2", "mail_1", SECOND)
    up(tmp_path)
    package.remove("mail_2")
    with pytest.raises(ConfigError, match=r"mail_2.*update this installation"):
        up(tmp_path)


@pytest.mark.timeout(60)
def test_processes_that_migrate_at_once_make_the_tables_once(
    tmp_path: Path, package: Package
) -> None:
    package.add("mail_1", None, FIRST)
    url, engine_url = urls(tmp_path)
    program = (
        "import asyncio, sys\n"
        "from tidemill_apps.services.database import migrate\n"
        "import alembic.command\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        f"asyncio.run(migrate({url!r}, {PACKAGE!r}, engine_url={engine_url!r}))\n"
    )
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path.insert(0, {str(tmp_path / 'code')!r})\n{program}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.communicate("\n", timeout=30)
        assert [process.returncode for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert ask(tmp_path, "SELECT subject FROM mail") == [("hello",)]
