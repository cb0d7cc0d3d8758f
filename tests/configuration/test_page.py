"""The page about the configuration: its files are right, and it names everything there is."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tidemill.configuration import load

PAGE = ROOT / "docs/configuration.md"


@pytest.mark.parametrize("text", list(blocks(PAGE, "yaml")))
def test_the_files_of_the_page_are_right(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tidemill.yaml"
    file.write_text(text, "utf-8")
    assert load(file, {}).mistakes == ()


def test_the_page_names_every_setting() -> None:
    table = PAGE.read_text("utf-8")
    last_names = set(re.findall(r"\.?(\w+)`", table))
    named = {each.name.rpartition(".")[2] for each in load(None, {}).values()}
    assert named <= last_names
    assert {"api_key", "base_url", "model"} <= last_names
