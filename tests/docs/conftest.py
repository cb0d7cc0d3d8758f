"""Where the documents' code and commands run: in a folder like the reader's, on an engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.servers.server import Server, server

ON_A_SERVER = ROOT / "docs/redis.md"
"""The page whose blocks run on a real server."""


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as the page about servers wants it."""
    with server(tmp_path_factory.mktemp("valkey"), config={"appendonly": "yes"}) as made:
        yield made


@pytest.fixture
def folder(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty folder to stand in; `TIDEMILL_URL` names the engine of a page about servers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    if page == ON_A_SERVER:
        valkey: Server = request.getfixturevalue("valkey")
        valkey.command("FLUSHALL")
        monkeypatch.setenv("TIDEMILL_URL", valkey.url)
    return tmp_path
