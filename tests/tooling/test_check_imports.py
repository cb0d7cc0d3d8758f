from pathlib import Path

import pytest

from tools import check_imports
from tools.check_imports import check, public_names

PUBLIC = frozenset({"Tidemill", "Retry"})


@pytest.mark.parametrize(
    "source",
    [
        "from tidemill import Tidemill, engine",
        "from tidemill import _private",
        "from tidemill.engine import Engine",
        "from tidemill.engines.sqlite import SqliteEngine",
        "import tidemill.worker",
        "import tidemill\ntidemill.engine",
        "def late():\n    from tidemill.codec import encode",
    ],
)
def test_reaching_below_the_public_names_is_a_complaint(source: str) -> None:
    assert len(list(check("apps/src/tidemill_apps/x.py", source, PUBLIC))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import tidemill\ntidemill.Tidemill",
        "from tidemill import Retry, Tidemill",
        "from tidemill.testing import inline",
        "from tidemill_apps.knowledge import parse",
        "from .engine import anything",
    ],
)
def test_public_names_and_own_modules_are_free(source: str) -> None:
    assert list(check("apps/src/tidemill_apps/x.py", source, PUBLIC)) == []


def test_public_names_are_what_all_lists() -> None:
    assert public_names("__all__ = ['Tidemill', 'Retry']") == PUBLIC
    assert public_names("__all__: tuple[str, ...] = ('Tidemill', 'Retry')") == PUBLIC
    assert public_names("Tidemill = 1") == frozenset()


def test_the_check_fails_on_a_planted_import_and_passes_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core, apps = tmp_path / "src/tidemill", tmp_path / "apps/src/tidemill_apps"
    core.mkdir(parents=True)
    apps.mkdir(parents=True)
    (core / "__init__.py").write_text("__all__ = ['Tidemill']\n")
    (apps / "demo.py").write_text("from tidemill import Tidemill\n")
    assert check_imports.main(tmp_path) == 0
    (apps / "demo.py").write_text("from tidemill.app import Tidemill\n")
    assert check_imports.main(tmp_path) == 1
    assert "apps/src/tidemill_apps/demo.py:1: tidemill.app" in capsys.readouterr().out
