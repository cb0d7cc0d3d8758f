"""Which URLs name a business database."""

import os
from pathlib import Path

import pytest

from tidemill import ConfigError
from tidemill_apps.services.database import Database, database_url, migrate


def test_urls_get_the_drivers_that_are_used() -> None:
    assert str(database_url("sqlite:///a.db", engine_url="memory://")) == "sqlite+aiosqlite:///a.db"
    url = database_url("postgresql://ana:pw@db/mails", engine_url="postgresql://ana:pw@db/tasks")
    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.database) == ("ana", "pw", "db", "mails")


@pytest.mark.parametrize("spelling", ["{0}/tasks.db", "{0}/x/../tasks.db", "{0}/linked.db"])
async def test_the_file_of_the_engine_is_refused_however_it_is_spelt(
    tmp_path: Path, spelling: str
) -> None:
    (tmp_path / "tasks.db").touch()
    (tmp_path / "linked.db").symlink_to(tmp_path / "tasks.db")
    url, engine_url = f"sqlite:///{spelling.format(tmp_path)}", f"sqlite:///{tmp_path}/tasks.db"
    with pytest.raises(ConfigError, match="file of the Tidemill engine"):
        Database(url, engine_url=engine_url)
    with pytest.raises(ConfigError, match="file of the Tidemill engine"):
        await migrate(url, engine_url=f"{engine_url}?durability=strict")


def test_a_hard_link_to_the_file_of_the_engine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").touch()
    os.link(tmp_path / "tasks.db", tmp_path / "other.db")
    with pytest.raises(ConfigError, match="file of the Tidemill engine"):
        database_url(f"sqlite:///{tmp_path}/other.db", engine_url=f"sqlite:///{tmp_path}/tasks.db")


def test_a_relative_path_is_the_file_that_it_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="file of the Tidemill engine"):
        database_url("sqlite:///tasks.db", engine_url=f"sqlite:///{tmp_path}/tasks.db")
    database_url("sqlite:///business.db", engine_url=f"sqlite:///{tmp_path}/tasks.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        database_url(url, engine_url="memory://")


def test_other_databases_are_refused_without_showing_the_password() -> None:
    with pytest.raises(ConfigError, match="no business database") as refused:
        database_url("mysql://ana:hunter2@db/mails", engine_url="memory://")
    assert "hunter2" not in str(refused.value)


def test_what_is_no_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        database_url("ana:hunter2", engine_url="memory://")
    assert "hunter2" not in str(refused.value)
