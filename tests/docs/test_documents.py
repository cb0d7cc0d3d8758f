"""Every Python block of the documents runs, every command exists, every link leads somewhere."""

import asyncio
import inspect
import re
import shlex
from pathlib import Path

import pytest

from tests.docs.conftest import ON_A_SERVER
from tests.docs.pages import PAGES, ROOT, blocks, named
from tidemill.engines.redis import address
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.faults import rights

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")


def pages_with(kind: str) -> list[Path]:
    return [page for page in PAGES if any(blocks(page, kind))]


@pytest.mark.parametrize("page", pages_with("python"), ids=named)
@pytest.mark.usefixtures("folder")
def test_the_python_blocks_of_a_page_run_one_after_the_other(page: Path) -> None:
    space: dict[str, object] = {"__name__": "documents"}
    for text in blocks(page, "python"):
        exec(compile(text, named(page), "exec"), space)  # noqa: S102  # our own documents
    for name, function in space.items():
        if inspect.iscoroutinefunction(function) and name.startswith(("main", "produce", "test_")):
            asyncio.run(function())


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_links_of_a_page_lead_to_files_that_exist(page: Path) -> None:
    missing = [
        found["target"]
        for found in LINK.finditer(page.read_text(encoding="utf-8"))
        if not (page.parent / found["target"]).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", pages_with("console"), ids=named)
def test_the_make_targets_that_a_page_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for text in blocks(page, "console"):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"] and len(words) > 1:
                assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line


def test_the_guide_in_chinese_has_the_sections_and_blocks_of_the_english_one() -> None:
    english, chinese = ROOT / "docs/guide.md", ROOT / "docs/zh/guide.md"
    shapes = [
        [
            (len(line) - len(line.lstrip("#")) if line.startswith("#") else line)
            for line in page.read_text(encoding="utf-8").splitlines()
            if line.startswith(("## ", "# ", "```"))
        ]
        for page in (english, chinese)
    ]
    assert shapes[0] == shapes[1]


def test_the_architecture_page_names_every_module() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    source = ROOT / "src/tidemill"
    apart = {"cli", "testing"}  # named there without their endings, or as a folder
    missing = [
        str(path.relative_to(source))
        for path in sorted(source.rglob("*.py"))
        if path.name != "__init__.py"
        and path.relative_to(source).parts[0] not in apart
        and f"{path.name}" not in text
    ]
    assert missing == []


def test_every_url_of_the_page_about_servers_can_be_read() -> None:
    (urls, *_) = blocks(ON_A_SERVER, "text")
    modes = [parse(url).mode for url in urls.splitlines()]
    assert modes == ["single", "single", "sentinel", "cluster"]


def test_the_page_about_servers_names_every_option_of_a_url() -> None:
    text = ON_A_SERVER.read_text(encoding="utf-8")
    options = set(re.findall(r"\b([a-z_]+)=", str(address.__doc__))) - {"option"}
    assert "sentinel_password_file" in options
    assert {each for each in options if f"`{each}=" not in text} == set()


def test_the_rights_that_the_page_about_servers_gives_are_those_that_errors_name() -> None:
    assert rights("tidemill") in ON_A_SERVER.read_text(encoding="utf-8")
