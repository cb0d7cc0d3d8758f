"""One mail server for all tests of a process, and a folder of its own for each."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.tests.mailroom.imap.system import settle_in
from apps.tests.mailroom.imap_servers import ImapServer, Postman, pymap
from tests.conftest import pytest_pyfunc_call
from tidemill import Tidemill
from tidemill.engines import open_engine
from tidemill_apps.mailroom.app import app

__all__ = ["pytest_pyfunc_call"]  # coroutine tests run here as they do in tests/


@pytest.fixture(scope="session")
def mail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImapServer]:
    with pymap(tmp_path_factory.mktemp("pymap")) as server:
        yield server


@pytest.fixture
def postman(mail_server: ImapServer) -> Iterator[Postman]:
    with mail_server.postman() as opened:
        yield opened


@pytest.fixture
def folder() -> str:
    """The name of a folder that no other test has."""
    return f"水闸-{uuid.uuid4().hex}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a mailroom of its own keeps everything."""
    path = tmp_path / "home"
    settle_in(path)
    monkeypatch.setenv("TIDEMILL_MAILROOM_DIR", str(path))
    monkeypatch.setenv("TIDEMILL_CONFIG", str(path / "tidemill.yaml"))
    return path


@pytest.fixture
def mailroom_app(home: Path) -> Iterator[Tidemill]:
    """The application on an engine of its own."""
    engine = open_engine(f"sqlite:///{home / 'tasks.db'}")
    app.use_engine(engine)
    yield app
    app.use_engine(None)
    asyncio.run(engine.close())
