"""Small real applications: their servers and workers as programs, spoken to over HTTP."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.ports import Port
from tests.servers.process import Process
from tests.servers.waiting import until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Site:
    """A web application in a folder of the tests, and a folder for its data."""

    def __init__(self, name: str, data: Path, stack: ExitStack) -> None:
        self.code = HERE / name
        self.data = data
        self._stack = stack
        self.programs: list[Process] = []
        self.url = f"sqlite:///{data / 'tasks.db'}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if key != "TIDEMILL_URL"},
            "SITE_FOLDER": str(data),
            "PYTHONPATH": os.pathsep.join([str(self.code), str(ROOT / "src")]),
            "NO_COLOR": "1",
        }

    def start(self, *words: str, until_told: str = "") -> Process:
        """Run a Python program of the site's folder until the test ends; its log is kept."""
        log = self.data / f"{len(list(self.data.glob('*.log')))}.log"
        process = Process(log)
        self._stack.callback(process.close)
        self.programs.append(process)
        told = [f"{key}={value}" for key, value in self.environment.items()]
        process.start(["env", "-i", "-C", str(self.code), *told, sys.executable, "-u", *words])
        if until_told:
            try:
                until(lambda: until_told in log.read_text() or not process.running, until_told)
                assert process.running
            except (TimeoutError, AssertionError):
                raise AssertionError(f"{words}: {log.read_text()}") from None
        return process

    def serve(self, *words: str) -> httpx.Client:
        """Start a server of the words, where PORT stands for a free port; answers its client."""
        port = Port.free()
        self._stack.callback(port.close)
        process = self.start(*(word.replace("PORT", str(port.number)) for word in words))
        client = self._stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port.number}", timeout=30, trust_env=False)
        )

        def answers() -> bool:
            try:
                return bool(client.get("/").status_code)
            except httpx.TransportError:
                assert process.running, process.log.read_text()
                return False

        until(answers, f"{words} answers")
        return client


def eventually(ask: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    """What is answered once it fits."""
    answers = [ask()]

    def asked() -> bool:
        answers.append(ask())
        return fits(answers[-1])

    try:
        until(asked, "the answer fits")
    except TimeoutError:
        raise AssertionError(f"the last answer was {answers[-1]}") from None
    return answers[-1]


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack
