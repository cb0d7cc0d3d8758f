"""What is stored in files may be kept from the other users of a machine."""

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tidemill import Tidemill
from tidemill.backup import backup


@pytest.fixture
def _private() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Who may do what with each file."""
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*")}


@pytest.mark.usefixtures("_private")
async def test_under_a_private_umask_no_file_of_the_store_is_for_others(tmp_path: Path) -> None:
    app = Tidemill(f"sqlite:///{tmp_path}/tasks.db")

    @app.task(name="work")
    async def work() -> None: ...

    await work.enqueue()
    await backup(await app.engine(), tmp_path / "saved.gz")
    await (await app.engine()).wait(None, timedelta(0))
    found = modes(tmp_path)
    assert {"tasks.db", "tasks.db-wal", "saved.gz"} <= found.keys()
    assert [name for name, mode in found.items() if mode & 0o077] == []
    await app.close()
