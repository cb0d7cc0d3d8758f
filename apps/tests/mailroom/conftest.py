"""An open mailroom on empty files, with the hashing embedder where no model is needed."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import pytest_pyfunc_call
from tidemill import Tidemill
from tidemill_apps.mailroom.opening import Mailroom, open_mailroom
from tidemill_apps.mailroom.settings import Place

__all__ = ["pytest_pyfunc_call"]  # coroutine tests run here as they do in tests/


class Opens(Protocol):
    """Opens the mailroom of a test; `app` else has no task types and lives in memory."""

    def __call__(self, app: Tidemill | None = None) -> AbstractAsyncContextManager[Mailroom]: ...


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.of({"TIDEMILL_MAILROOM_DIR": str(tmp_path / "mailroom")})


@pytest.fixture
def opens(place: Place) -> Opens:
    @asynccontextmanager
    async def opened(app: Tidemill | None = None) -> AsyncIterator[Mailroom]:
        async with open_mailroom(app or Tidemill("memory://"), place) as mailroom:
            yield mailroom

    return opened
