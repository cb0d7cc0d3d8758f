"""The engine of an application that was told none."""

from pathlib import Path

import pytest

from tidemill import EngineRefused
from tidemill.engines import open_engine
from tidemill_apps.services.engine_file import engine_file


async def test_it_opens_on_a_machine_where_nothing_is_yet(tmp_path: Path) -> None:
    engine = open_engine(engine_file(tmp_path / "a folder" / "with #1"))
    await engine.migrate()
    await engine.close()
    assert (tmp_path / "a folder" / "with #1" / "tasks.db").is_file()


async def test_a_folder_that_cannot_be_made_is_told_by_the_engine(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("not a folder")
    with pytest.raises(EngineRefused, match="letter is not a folder"):
        await open_engine(engine_file(tmp_path / "letter")).migrate()
