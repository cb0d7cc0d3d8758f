"""The SQLite engine's file: how it is opened, what is refused, what a full disk does."""

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tidemill.engine import TaskQuery
from tidemill.engines import open_engine
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect, version_warnings
from tidemill.errors import ConfigError, EngineFull, EngineRefused, SchemaTooNew
from tidemill.ids import IdMaker
from tidemill.testing import new_task

NETWORK = "tidemill.engines.sqlite.connection._NETWORK"


@pytest.mark.parametrize(
    ("durability", "synchronous"), [("strict", 2), ("standard", 1), ("fast", 1)]
)
def test_a_writer_logs_ahead_and_syncs_as_its_durability_says(
    tmp_path: Path, durability: str, synchronous: int
) -> None:
    level = open_engine(f"sqlite:///x.db?durability={durability}").info.durability
    on = connect(tmp_path / "a.db", level, write=True)
    assert on.pragma("journal_mode") == "wal"
    assert on.pragma("synchronous") == synchronous
    assert on.pragma("journal_size_limit") == 64 * 1024 * 1024
    on.close()


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.migrate()
    on = connect(tmp_path / "a.db", "standard", write=False)
    with pytest.raises(apsw.ReadOnlyError):
        on.execute("DELETE FROM tidemill_task")
    on.close()
    await engine.close()


def test_info_names_the_file_the_level_and_the_versions(tmp_path: Path) -> None:
    info = SqliteEngine(tmp_path / "a.db", durability="strict").info
    assert (info.name, info.location, info.durability) == (
        "sqlite",
        str(tmp_path / "a.db"),
        "strict",
    )
    assert info.transactional
    assert info.versions == {"sqlite": apsw.sqlite_lib_version(), "apsw": apsw.apsw_version()}
    assert info.warnings == ()


@pytest.mark.parametrize(
    ("version", "warned"),
    [("3.6.23", False), ("3.7.0", True), ("3.51.2", True), ("3.51.3", False), ("4.0.0", False)],
)
def test_versions_with_the_wal_reset_race_are_warned_of(version: str, *, warned: bool) -> None:
    assert bool(version_warnings(version)) is warned


@pytest.mark.parametrize(
    "url",
    ["sqlite://x.db", "sqlite:///", "sqlite:///x.db?durability=none", "sqlite:///x.db?colour=red"],
)
def test_a_url_that_says_nothing_usable_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_engine(url)


def test_nothing_is_touched_before_the_first_verb(tmp_path: Path) -> None:
    SqliteEngine(tmp_path / "missing" / "a.db").session()
    assert not list(tmp_path.iterdir())


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "missing" / "a.db")
    with pytest.raises(EngineRefused, match=r"missing does not exist; create it"):
        await engine.migrate()


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="it is a folder; name a file in it"):
        await SqliteEngine(tmp_path).migrate()


async def test_a_place_where_no_file_can_be_made_is_refused() -> None:
    with pytest.raises(EngineRefused, match=r"/proc/tidemill\.db cannot be (opened|written)"):
        await SqliteEngine("/proc/tidemill.db").migrate()


async def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear reader, this is not a database." * 100)
    before = path.read_bytes()
    with pytest.raises(EngineRefused, match="is not a SQLite database"):
        await SqliteEngine(path).migrate()
    assert path.read_bytes() == before


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    engine = SqliteEngine(path)
    await engine.enqueue([new_task(task_id) for task_id in IdMaker().make_many(500)])
    await engine.close()
    content = bytearray(path.read_bytes())
    content[8_192 : len(content) - 4_096] = b"\xff" * (len(content) - 12_288)
    path.write_bytes(content)
    again = SqliteEngine(path)
    with pytest.raises(EngineRefused, match="is damaged"):
        await again.enqueue([new_task()])
    await again.close()


async def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    on = connect(tmp_path / "a.db", "standard", write=True)
    on.pragma("user_version", 999)
    on.close()
    with pytest.raises(SchemaTooNew, match="999") as refused:
        await SqliteEngine(tmp_path / "a.db").migrate()
    assert refused.value.found == 999


async def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    here = {disk.fstype for disk in psutil.disk_partitions(all=True)}
    monkeypatch.setattr(NETWORK, frozenset(here))
    with pytest.raises(EngineRefused, match="network file system"):
        await SqliteEngine(tmp_path / "a.db").migrate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes a privilege that this user lacks")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def _accepted_before_full(engine: SqliteEngine) -> int:
    for accepted in itertools.count(step=10):
        tasks = [new_task(task_id, payload=bytes(4_000)) for task_id in IdMaker().make_many(10)]
        try:
            await engine.enqueue(tasks)
        except EngineFull:
            return accepted
    raise AssertionError("counting does not end")


async def test_a_full_disk_loses_nothing_and_heals(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    engine = SqliteEngine(small_disk / "a.db")
    accepted = await _accepted_before_full(engine)
    assert accepted > 0
    with pytest.raises(EngineFull, match="free some space"):
        await engine.enqueue([new_task(payload=bytes(200_000))])
    assert len((await engine.find(TaskQuery(limit=10_000))).tasks) == accepted
    ballast.unlink()
    await engine.enqueue([new_task()])
    assert sum(count.count for count in (await engine.stats()).counts) == accepted + 1
    await engine.close()
