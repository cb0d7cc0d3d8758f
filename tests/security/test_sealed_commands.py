"""Keys of a configuration reach every process that a command starts, and are shown by none."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.cli import main
from tidemill.sealing import key_id
from tidemill.settings import FORMER_KEYS_VARIABLE, KEY_VARIABLE

KEY, FORMER = bytes(range(32)), bytes(range(32, 64))
CANARY = "canary-of-the-mine"
CODE = """
from tidemill import Tidemill

app = Tidemill("sqlite:///shop.db")


@app.task(name="echo")
async def echo(text: str) -> str:
    return text


@app.task(name="isolated", isolation="process")
def isolated(text: str) -> str:
    return app.run_blocking(_read(text))


async def _read(text: str) -> str:
    handle = await echo.enqueue(text)
    task = await handle.get()
    assert task.payload is not None and text.encode() in task.payload
    return text
"""
CONFIGURATION = f"""
app: sealed_shop:app
security:
  encryption_key: "{KEY.hex()}"
  former_encryption_keys: ["{FORMER.hex()}"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TIDEMILL_URL", "TIDEMILL_CONFIG", KEY_VARIABLE, FORMER_KEYS_VARIABLE):
        monkeypatch.setenv(name, "")  # so that what a command sets is undone
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delitem(sys.modules, "sealed_shop", raising=False)
    (tmp_path / "sealed_shop.py").write_text(CODE, "utf-8")
    (tmp_path / "tidemill.yaml").write_text(CONFIGURATION, "utf-8")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert KEY.hex() not in out + err
    assert FORMER.hex() not in out + err
    return out


@pytest.mark.usefixtures("folder")
def test_doctor_names_the_keys_by_their_ids(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "doctor")
    assert f"encrypted with the key {key_id(KEY)}" in out
    assert key_id(FORMER) in out


def test_doctor_says_that_nothing_is_encrypted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tidemill.yaml").write_text("app: sealed_shop:app", "utf-8")
    assert "what is stored is not encrypted" in said(capsys, "doctor")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", ["table", "json"])
def test_the_configuration_is_shown_without_its_keys(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "-o", form, "config", "show")
    assert "security.former_encryption_keys" in out
    assert "***" in out


def test_supervised_workers_and_their_children_have_the_keys(folder: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "tidemill", "worker", "--processes", "2"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tidemill", "enqueue", "isolated"),
                *("-p", f'{{"text":"{CANARY}"}}', "--wait", "--timeout", "60"),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        worker.terminate()
        worker.wait(60)
    assert (done.returncode, done.stdout.strip()) == (0, f'"{CANARY}"'), done.stderr
    on = sqlite3.connect(folder / "shop.db")  # the engine is closed
    dump = "\n".join(on.iterdump())
    on.close()
    assert "isolated" in dump
    assert CANARY not in dump
    assert CANARY.encode().hex() not in dump.lower()


def test_keys_of_the_environment_are_taken_without_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY.hex())
    code = "import sealed_shop; print(len(sealed_shop.app.settings.encryption_key))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "64"
