"""The pages about the mailroom name its commands, tasks, settings and routes as they are."""

import re
import shlex
from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.pages import ROOT, blocks
from tidemill import Tidemill
from tidemill_apps.mailroom.api import create_api
from tidemill_apps.mailroom.cli.commands import _COMMANDS
from tidemill_apps.mailroom.cli.texts import Say, texts_of
from tidemill_apps.mailroom.cli.tree import command_tree
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.tasks import app

PAGE: Final = ROOT / "docs/mailroom.md"
CHINESE: Final = ROOT / "docs/zh/mailroom.md"
PAGES = (PAGE, CHINESE)
HERE: Final = ".venv/bin/"


def rows(page: Path, first: str) -> list[list[str]]:
    """The cells of the table rows whose first cell begins so."""
    found = []
    for line in page.read_text("utf-8").splitlines():
        cells = [each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0].startswith(first):
            found.append(cells)
    return found


def shape(page: Path) -> list[str]:
    """Headings, blocks, list items and tables, without their words."""
    told, inside = [], False
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
            told.append(line)
        elif inside:
            told.append("code")
        elif line.startswith("#"):
            told.append("#" * (len(line) - len(line.lstrip("#"))))
        elif line.startswith("|"):
            told.append("|" * line.count("|"))
        elif line.startswith("- "):
            told.append("-")
    return told


def test_the_page_is_the_same_in_chinese() -> None:
    assert shape(CHINESE) == shape(PAGE)
    for page in PAGES:
        assert len(shape(page)) > 100
    bare = [re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8")) for page in PAGES]
    code = [Counter(re.findall(r"`[^`\n]+`", text)) for text in bare]
    assert code[0] == code[1]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_command_as_it_is(page: Path, capsys: Any) -> None:
    said = rows(page, "`mailroom ")
    named = set()
    for cells in said:
        for call in re.findall(r"`mailroom ([^`]*)`", cells[0]):
            words = []
            for word in call.split():
                if word.startswith("[") or not re.fullmatch(r"[a-z]+", word):
                    break
                words.append(word)
            name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in _COMMANDS)
            named.add(name)
            with pytest.raises(SystemExit):
                command_tree(Say(texts_of("en"))).parse_args([*name.split(), "--help"])
            helped = capsys.readouterr().out
            options = set(re.findall(r"(?<![\w-])--[a-z-]+", helped))
            options -= {"--user", "--output", "--lang", "--help"}
            options -= {"--keyword", "--stakeholder"}  # shown by their short names
            assert options == set(re.findall(r"--[a-z-]+", call)), name
    assert named == set(_COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page_are_understood(page: Path) -> None:
    parser: ArgumentParser = command_tree(Say(texts_of("en")))
    tried = 0
    for text in blocks(page, "console"):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == f"{HERE}mailroom":
                parser.parse_args(words[1:])
                tried += 1
    assert tried == 4


def _seconds(text: str) -> tuple[float, ...]:
    found = re.findall(r"(\d+)(?: (s|min|秒|分钟))?", text)
    unit = next(each for _, each in found if each)
    factor = 60 if unit in {"min", "分钟"} else 1
    return tuple(float(number) * factor for number, _ in found)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_every_task_as_it_is_declared(page: Path) -> None:
    table = {
        re.findall(r"`([^`]+)`", cells[0])[0]: cells
        for name in ("email", "contact", "context", "spam", "health")
        for cells in rows(page, f"`{name}:")
        if len(cells) == 7
    }
    declared = {name: each for name, each in app.task_types.items() if ":" in name}
    assert set(table) == set(declared)
    for name, cells in table.items():
        task_type = declared[name]
        assert cells[1] == f"{task_type.queue}, {task_type.priority}".replace(
            ", ", "，" if page == CHINESE else ", "
        )
        said = re.findall(r"`([a-z_]+)`", cells[2])
        context = task_type.signature.context_parameter
        assert said == [each for each in task_type.signature.parameters if each != context]
        assert int(cells[3]) == (task_type.retry.max_attempts or 0)
        times = _seconds(cells[4])
        limits = [task_type.timeout, task_type.soft_timeout]
        assert times == tuple(each / timedelta(seconds=1) for each in limits if each)


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_of_the_page_are_read(page: Path, tmp_path: Path) -> None:
    (text,) = blocks(page, "yaml")
    (tmp_path / "tidemill.yaml").write_text(text, "utf-8")
    place = Place.of(
        {"TIDEMILL_CONFIG": str(tmp_path / "tidemill.yaml"), "TIDEMILL_MAILROOM_DIR": str(tmp_path)}
    )
    told = place.mailroom
    assert place.ai.endpoint("chat")
    assert place.ai.endpoint("embedding")
    assert place.database.startswith("postgresql://mill:")
    assert told.notify is not None
    assert told.vectors
    assert told.keywords
    assert set(told.spam.filter.keywords.subject) == {"raffle", "中奖"}
    assert set(told.spam.filter.keywords.body) == {"act now"}
    place.keyring()


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_every_route(page: Path) -> None:
    said = set()
    for method in ("GET", "POST", "PUT", "DELETE"):
        for cells in rows(page, f"`{method} "):
            said.add(cells[0].strip("`"))
    api = create_api(Tidemill("memory://"), None)  # type: ignore[arg-type]
    served = set()
    for route in api.routes:
        for handler in getattr(route, "route_handlers", ()):
            path = re.sub(r"\{[^}]*\}", "{id}", route.path)
            for method in handler.http_methods:
                if method in {"GET", "POST", "PUT", "DELETE"} and "/schema" not in path:
                    served.add(f"{method} {path}")
    assert said == served
