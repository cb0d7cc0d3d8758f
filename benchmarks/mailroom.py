"""Measure how fast the mailroom analyses real mail, with one and with two worker processes.

`make bench-mailroom` takes 600 mails of the SpamAssassin corpus (apps/tests/mailroom/corpus.py), in
two rounds on SQLite and on Valkey by turns. Each run imports them into an empty mailroom with
`mailroom import`, starts `tidemill worker`, and counts from the moment when a tenth is analysed, so
that starting and loading the model are left out. Everything is as an operator has it: the offline
model, SQLite for the mailroom's own data, the engine for its tasks.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from arena import store
from figures import Figure, machine, markdown
from rich.progress import track

from apps.tests.mailroom.corpus import samples
from tidemill import State, Tidemill

APP: Final = "tidemill_apps.mailroom.tasks:app"
TASK: Final = "email:analyze"
ENGINES: Final = ("sqlite", "valkey")
PATIENCE: Final = 900.0
SEED: Final = 9


def main() -> None:
    """Measure, print the table, and write it down where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    said = parser.parse_args()
    corpus = [each.data for each in samples()]
    random.Random(SEED).shuffle(corpus)
    chosen = corpus[: said.mails]
    runs = [
        (engine, processes)
        for _ in range(said.rounds)
        for engine in ENGINES
        for processes in (1, 2)
    ]
    rates: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="tidemill-mails-") as folder:
        mails = Path(folder) / "mails"
        mails.mkdir()
        for number, data in enumerate(chosen):
            (mails / f"{number:05}.eml").write_bytes(data)
        for run in track(runs, "analysing", disable=not sys.stdout.isatty()):
            rates.setdefault(run, []).append(rate(mails, len(chosen), *run))
    figures = [
        Figure(
            f"{engine}, {processes} process{'es' if processes > 1 else ''}",
            round(median(found), 1),
            "mails/s",
            detail=f"rounds: {', '.join(f'{each:.1f}' for each in found)}",
        )
        for (engine, processes), found in rates.items()
    ]
    text = markdown(figures, machine("SQLite and Valkey"))
    print(text)
    if said.markdown:
        said.markdown.write_text(text, "utf-8")


def rate(mails: Path, count: int, engine: str, processes: int) -> float:
    """Mails analysed in a second, of those after the first tenth."""
    with store(engine) as url, tempfile.TemporaryDirectory(prefix="tidemill-mailroom-") as home:
        environment = os.environ | {"TIDEMILL_URL": url, "TIDEMILL_MAILROOM_DIR": home}
        words = [sys.executable, "-m", "tidemill_apps.mailroom", "import", str(mails)]
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
        with working(environment, processes):
            return asyncio.run(counted(url, count))


async def counted(url: str, count: int) -> float:
    """The rate at which an engine's analyses end, from a tenth of them on."""
    async with looking(url) as app:
        begun = await until(app, count // 10)
        started = time.perf_counter()
        ended = await until(app, count)
        return (ended - begun) / (time.perf_counter() - started)


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Tidemill]:
    """An application that only looks at an engine."""
    app = Tidemill(url)
    try:
        await app.engine()
        yield app
    finally:
        await app.close()


@contextmanager
def working(environment: dict[str, str], processes: int) -> Iterator[None]:
    """Worker processes of the mailroom."""
    words = [sys.executable, "-m", "tidemill", "-A", APP, "worker", "--processes", str(processes)]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()


async def until(app: Tidemill, wanted: int) -> int:
    """Wait for so many analyses; answers how many there are."""
    engine = await app.engine()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        counts = [each for each in (await engine.stats()).counts if each.task_type == TASK]
        failed = sum(each.count for each in counts if each.state is State.FAILED)
        if failed:
            raise SystemExit(f"{failed} analyses failed")
        done = sum(each.count for each in counts if each.state is State.COMPLETED)
        if done >= wanted:
            return done
        await asyncio.sleep(0.05)
    raise SystemExit(f"fewer than {wanted} mails were analysed in {PATIENCE:.0f} s")


if __name__ == "__main__":
    main()
