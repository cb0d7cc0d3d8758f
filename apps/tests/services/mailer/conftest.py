"""A mailer, its ledger, and a server on the loopback."""

from collections.abc import Iterator

import pytest

from apps.tests.services.database.conftest import folder
from apps.tests.services.mailer.postbox import Postbox, serving

__all__ = ["folder"]


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with serving(Postbox()) as serves:
        yield serves
