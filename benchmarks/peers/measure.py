"""One measurement of one peer: its tasks on a new store, its workers, and when each task began."""

import math
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import psutil
from arena import HERE, family, store
from peers.catalogue import Peer, Words
from peers.environments import prepared
from peers.tally import Mark, count, marks

PATIENCE = 120.0
WARM_UP = 20


class Entry(NamedTuple):
    """A peer with so many worker processes of a width."""

    peer: Peer
    processes: int
    width: int


def drain(kind: str, entry: Entry, tasks: int, seconds: float | None = None) -> float:
    """Tasks per second between the first start and the last, of tasks enqueued beforehand.

    With `seconds` it is over so long after the first start, even if not all have started.
    """
    with _stage(kind, entry) as stage:
        stage.produce("enqueue", tasks)
        with stage.workers():
            began = [mark.at for mark in stage.wait(tasks, seconds)]
    return len(began) / ((max(began) - min(began)) / 1e9)


def waits(kind: str, entry: Entry, samples: int) -> list[float]:
    """Milliseconds from before an enqueue to the start of its task in an idle worker."""
    with _stage(kind, entry) as stage, stage.workers():
        stage.produce("enqueue", WARM_UP)
        stage.wait(WARM_UP)
        stage.produce("trickle", WARM_UP + samples)
        sent = sorted(stage.wait(2 * WARM_UP + samples))[-samples:]
    return [(mark.at - mark.number) / 1e6 for mark in sent]


@contextmanager
def _stage(kind: str, entry: Entry) -> Iterator["_Stage"]:
    with store(kind) as url, tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        tally, log = Path(folder, "tally"), Path(folder, "log")
        tally.touch()
        variables = {
            "PYTHONPATH": str(HERE),
            "STORE_URL": url + entry.peer.query,
            "TIDEMILL_URL": url + entry.peer.query,
            "TALLY": str(tally),
            "WIDTH": str(entry.width),
        }
        with log.open("w+b") as opened:
            environment = os.environ | variables | prepared(entry.peer.home)
            yield _Stage(entry, environment, tally, opened)


class _Stage:
    """The store of one measurement, and the programs that work on it."""

    def __init__(
        self, entry: Entry, environment: Mapping[str, str], tally: Path, log: IO[bytes]
    ) -> None:
        self._entry = entry
        self._environment = environment
        self._tally = tally
        self._log = log
        self._started: list[psutil.Popen] = []

    def produce(self, verb: str, tasks: int) -> None:
        """Enqueue, and wait until that is done."""
        program = self._start([*self._entry.peer.enqueuer, verb, str(tasks)])
        if program.wait():
            self._give_up(f"{verb} failed")

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Its worker processes, which are killed afterwards with all that they started."""
        commands = self._entry.peer.work(self._entry.processes, self._entry.width)
        with ExitStack() as stack:
            for words in commands:
                self._started.append(self._start(words))
                stack.callback(_end, self._started[-1])
            yield

    def wait(self, tasks: int, seconds: float | None = None) -> list[Mark]:
        """The first start of each task, once there are so many or so many seconds are over."""
        seen, moved, end = 0, time.monotonic(), math.inf
        while True:
            now, begun = time.monotonic(), count(self._tally)
            if begun >= tasks or now > end:
                found = marks(self._tally)
                if len(found) >= tasks or now > end:
                    return found
            if begun > seen:
                seen, moved = begun, now
                end = min(end, now + (seconds or math.inf))
            if now - moved > PATIENCE:
                self._give_up(f"{seen} of {tasks} tasks began, and none for {PATIENCE:g} s")
            if any(each.poll() is not None for each in self._started):
                self._give_up("a worker ended early")
            time.sleep(0.05)

    def _start(self, words: Words) -> psutil.Popen:
        log, nothing = self._log, subprocess.DEVNULL
        environment = dict(self._environment)
        return psutil.Popen(words, cwd=HERE, env=environment, stdin=nothing, stdout=log, stderr=log)

    def _give_up(self, why: str) -> None:
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")[-2_000:]
        raise SystemExit(f"{self._entry.peer.name}: {why}\n{said}")


def _end(process: psutil.Popen) -> None:
    for each in family(process):
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
