"""Every `tidemill` command that the documents name runs, on the application that they show."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.docs.conftest import ON_A_SERVER
from tests.docs.pages import PAGES, ROOT, blocks, named
from tests.servers.server import Server
from tidemill.engine import ClaimRequest, Firing
from tidemill.engines import open_engine
from tidemill.ids import IdMaker
from tidemill.outcome import Failed, Settlement
from tidemill.testing.builders import BROKE, new_task

SERVING = {"api", "up", "worker"}
WITH_COMMANDS = [ROOT / name for name in ("README.md", "docs/guide.md", "docs/redis.md")]
IN_CHINESE = {
    ROOT / "README.md": ROOT / "README.zh-CN.md",
    ROOT / "docs/guide.md": ROOT / "docs/zh/guide.md",
}


def commands(page: Path, program: str = "tidemill") -> Iterator[list[str]]:
    for text in blocks(page, "console"):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == [program]:
                yield words[1:]


@pytest.fixture
def shop(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the reader's, where `shop.py` will be and the engine's file."""
    monkeypatch.setenv("TIDEMILL_SERVER__PORT", "0")  # others of this machine may have 8080
    if page != ON_A_SERVER:
        monkeypatch.setenv("TIDEMILL_URL", "sqlite:///tidemill.db")
    return folder


@contextmanager
def serving(words: list[str]) -> Iterator[None]:
    """A worker that has announced itself; in the end it is told to stop and drains."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tidemill", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, f"{words} ended with {process.wait()} and said nothing"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest


@pytest.mark.parametrize("page", IN_CHINESE, ids=named)
def test_the_commands_of_a_page_are_the_same_in_chinese(page: Path) -> None:
    assert list(commands(IN_CHINESE[page])) == list(commands(page))


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=named)
def test_the_commands_of_a_page_run_on_the_application_of_the_page(page: Path, shop: Path) -> None:
    first = "shop.py" if page.name.startswith("README") else None
    texts = list(blocks(page, "python"))
    (shop / "shop.py").write_text(texts[0] if first else "\n".join(texts), encoding="utf-8")
    if first:
        subprocess.run([sys.executable, "shop.py"], check=True, timeout=60)
    with serving(["-A", "shop:app", "worker"]):
        for words in commands(page):
            if SERVING & set(words):
                with serving(words):
                    pass
                continue
            run = subprocess.run(
                [sys.executable, "-m", "tidemill", *words],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
                env=os.environ | {"TIDEMILL_APP": "shop:app"},
            )
            assert run.returncode == 0, f"tidemill {shlex.join(words)}: {run.stdout}{run.stderr}"


def test_the_pages_with_commands_are_all_tried() -> None:
    assert {page for page in PAGES if any(commands(page))} <= {*WITH_COMMANDS, *IN_CHINESE.values()}


@pytest.mark.parametrize("page", [ON_A_SERVER], ids=named)
@pytest.mark.usefixtures("shop")
async def test_what_operators_are_told_to_look_at_is_there(page: Path, valkey: Server) -> None:
    """With tasks that wait, run, are delayed or have failed, and a schedule that fired."""
    engine = open_engine(valkey.url).session()
    await engine.migrate()
    ids = IdMaker()
    delayed = new_task(ids.make(), queue="mail", delay=timedelta(hours=1))
    await engine.enqueue([delayed, *(new_task(ids.make(), queue="mail") for _ in range(3))])
    request = ClaimRequest(
        claim_id=ids.make(),
        worker="w1",
        queues=None,
        task_types=frozenset({delayed.task_type}),
        limit=2,
    )
    failing, _running = await engine.claim(request)
    await engine.settle([Settlement(failing.ref, Failed(BROKE))])
    now = (await engine.marks([])).at
    await engine.fire([Firing("nightly", now, new_task(ids.make(), queue="mail"))])
    await engine.prune(1)  # as every sweeper does; it adds up what ended
    await engine.close()
    looks = list(commands(page, "valkey-cli"))
    assert len(looks) > 5
    for words in looks:
        assert valkey.command(*words), f"valkey-cli {shlex.join(words)} shows nothing"
