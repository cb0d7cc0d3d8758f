"""Every request that the documents show with `curl` is sent to the application that they show."""

import asyncio
import importlib
import re
import shlex
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import PAGES, ROOT, blocks, named
from tidemill import Tidemill
from tidemill.access import FULL
from tidemill.api import create_api
from tidemill.api.server import listen, serving, url_of
from tidemill.node import Node

SHOWN_AS = "localhost:8080"
"""How the documents name the server: where `tidemill api` listens by default."""

KEY_SHOWN_AS = "$KEY"
"""How they name the reader's API key."""

APPLICATIONS = {
    ROOT / "docs/http-api.md": "tasks",
    ROOT / "docs/guide.md": "app",
    ROOT / "docs/zh/guide.md": "app",
}
"""The pages with requests, and what each calls its application."""

Send = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]


def requests(page: Path) -> Iterator[tuple[list[str], str]]:
    """The words after `curl`, and the status that the page promises; empty where it says none."""
    for text in blocks(page, "console"):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["curl"]:
                promised = re.search(r"# (\d{3})\b[^'\"]*$", line)
                yield words[1:], promised[1] if promised else ""


async def with_curl(words: Sequence[str]) -> tuple[int, str]:
    """Status and body of the answer to the program that the documents name."""
    quiet = ("--silent", "--show-error", "--write-out", "\n%{http_code}")
    process = await asyncio.create_subprocess_exec(
        "curl", *quiet, *words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, shlex.join(words)
    body, _, status = said.decode().rpartition("\n")
    return int(status), body


async def with_httpx(words: Sequence[str]) -> tuple[int, str]:
    """Status and body of the answer to the same request, for machines without curl."""
    parser = ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", default="GET")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d", default="")
    said = parser.parse_args(words)
    headers = dict(each.split(": ", 1) for each in said.H)
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.request(
            said.X, f"http://{said.url}", headers=headers, content=said.d.encode()
        )
    return answer.status_code, answer.text


@asynccontextmanager
async def site(app: Tidemill) -> AsyncIterator[tuple[str, str]]:
    """Where an application is served, with a worker beside it as in `tidemill up`, and a key."""
    listening, node = listen("127.0.0.1", 0), Node(app)
    key = (await app.keys.create("reader", FULL)).text
    async with serving(create_api(app), listening, end=lambda: None):
        running = asyncio.create_task(node.run())
        try:
            yield url_of(listening).removeprefix("http://"), key
        finally:
            node.drain()
            await running
    await app.close()


@pytest.fixture
def application(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tidemill:
    """What the page's Python blocks declare, imported from a file as the reader would."""
    (folder / "shown.py").write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "shown", raising=False)
    app = getattr(importlib.import_module("shown"), APPLICATIONS[page])
    assert isinstance(app, Tidemill)
    return app


@pytest.mark.parametrize("page", APPLICATIONS, ids=named)
@pytest.mark.parametrize("send", [with_curl, with_httpx])
async def test_the_requests_of_a_page_are_answered_as_it_says(
    page: Path, send: Send, application: Tidemill
) -> None:
    if send is with_curl and shutil.which("curl") is None:
        pytest.skip("curl is not installed; the same requests are sent with httpx")
    shown = list(requests(page))
    assert shown
    async with site(application) as (here, key):
        for words, promised in shown:
            assert any(SHOWN_AS in word for word in words), words
            assert any(KEY_SHOWN_AS in word for word in words), words
            sent = [word.replace(SHOWN_AS, here).replace(KEY_SHOWN_AS, key) for word in words]
            status, body = await send(sent)
            expected = {int(promised)} if promised else range(200, 300)
            assert status in expected, f"curl {shlex.join(words)}: {status} {body}"


def test_the_pages_with_requests_are_all_tried() -> None:
    assert {page for page in PAGES if any(requests(page))} == set(APPLICATIONS)
