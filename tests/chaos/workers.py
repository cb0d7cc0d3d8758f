"""Real worker processes, started from the command line and ended by their id."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from tests.chaos.app import PLAN, Plan
from tests.chaos.facts import until

ROOT = Path(__file__).parents[2]


class WorkerFell(Exception):
    """A worker ended that nobody had asked to."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed, when (monotonic nanoseconds), and the processes it had started."""

    pid: int
    at: int
    children: tuple[psutil.Process, ...]

    @property
    def pids(self) -> tuple[int, ...]:
        """All that ended with it."""
        return self.pid, *(child.pid for child in self.children)


@dataclass(slots=True)
class Crew:
    """The workers of one campaign. Whoever opens it closes it: nothing that it started is left.

    `command` is what they do, as the command line calls it.
    """

    folder: Path
    plan: Plan
    command: str = "worker"
    kills: list[Kill] = field(default_factory=list)
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def pids(self) -> list[int]:
        """The workers that were started and not ended."""
        return list(self._running)

    def is_ready(self, pid: int) -> bool:
        """Whether a worker said that it claims."""
        file = Path(self.plan.ledger) / f"{pid}.jsonl"
        return file.exists() and b'"phase":"ready"' in file.read_bytes()

    def with_children(self, pid: int) -> set[int]:
        """A worker that is there, and the processes that it started."""
        return {process.pid for process in self._family(pid)}

    def start(self) -> int:
        """Start a worker and answer its process id at once; it is ready a moment later."""
        plan = self.folder / "plan.json"
        plan.write_bytes(msgspec.json.encode(self.plan))
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tidemill", self.command, "-A", "tests.chaos.served:app"],
                cwd=ROOT,
                env=os.environ | {PLAN: str(plan), "TIDEMILL_URL": self.plan.url},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running[process.pid] = process
        return process.pid

    def kill(self, pid: int) -> Kill:
        """End one worker as the kernel does when memory runs out, and remember when."""
        process = self._running.pop(pid)
        children = tuple(psutil.Process(pid).children(recursive=True))
        at = time.monotonic_ns()
        process.kill()
        process.wait()
        self.kills.append(Kill(pid, at, children))
        return self.kills[-1]

    def freeze(self, pid: int) -> None:
        """Stop a worker and everything that it started, without ending it."""
        for process in self._family(pid):
            process.suspend()

    def thaw(self, pid: int) -> None:
        """Let a frozen worker go on."""
        for process in self._family(pid):
            process.resume()

    def fallen(self) -> list[int]:
        """Workers that ended by themselves since the last question; they are forgotten here."""
        ended = [pid for pid, process in self._running.items() if process.poll() is not None]
        for pid in ended:
            del self._running[pid]
        return ended

    def check(self) -> None:
        """Raise `WorkerFell` with the last words of the workers if one ended by itself."""
        for pid in self.fallen():
            words = (self.folder / "workers.log").read_text("utf-8", "replace").splitlines()
            raise WorkerFell(f"worker {pid} ended by itself: {' | '.join(words[-3:])}")

    async def orphans(self, patience: float = 5.0) -> list[int]:
        """Child processes of killed workers that outlive them by `patience` seconds."""
        children = [child for kill in self.kills for child in kill.children]
        await until(lambda: not any(map(alive, children)), patience)
        return [child.pid for child in children if alive(child)]

    async def close(self, patience: float = 20.0) -> list[int]:
        """Ask all workers to drain; answers those that had to be killed after `patience`."""
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await until(lambda: all(p.poll() is not None for p in self._running.values()), patience)
        stubborn = [pid for pid, process in self._running.items() if process.poll() is None]
        for pid in stubborn:
            for child in self._family(pid):
                child.kill()
            self._running[pid].wait()
        self._running.clear()
        for kill in self.kills:
            for child in kill.children:
                if alive(child):
                    child.kill()
        return stubborn

    @staticmethod
    def _family(pid: int) -> list[psutil.Process]:
        worker = psutil.Process(pid)
        return [worker, *worker.children(recursive=True)]


def alive(process: psutil.Process) -> bool:
    """Whether this very process runs: not another with its id, and not a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
