"""A program that cannot outlive the one that started it."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.servers.waiting import until

_WATCH = 'while read -r line; do pid=$line; done; [ -z "$pid" ] || kill -KILL "$pid"'


class Process:
    """One program at a time, which dies with this process however this process ends.

    A shell reads a pipe that only this process holds open: when the pipe ends before it was told
    that the program is gone, it kills the program. The kernel's own parent-death signal would be
    simpler, but is sent when the *thread* that started the program ends.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._program: subprocess.Popen[bytes] | None = None
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCH], stdin=subprocess.PIPE, start_new_session=True
        )

    @property
    def pid(self) -> int:
        """Of the program that was started last."""
        if self._program is None:
            raise RuntimeError("Nothing was started yet")
        return self._program.pid

    @property
    def running(self) -> bool:
        return self._program is not None and self._program.poll() is None

    def start(self, words: Sequence[str]) -> None:
        """Run the program; what it prints is added to the log."""
        if self.running:
            raise RuntimeError(f"{words[0]} runs already, as process {self.pid}: stop it first")
        with self.log.open("ab") as log:
            self._program = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then end their servers
            )
        self._tell(str(self._program.pid))

    def stop(self) -> None:
        """Ask the program to end (SIGTERM, also when it is frozen) and wait until it has."""
        program = self._running()
        program.send_signal(signal.SIGTERM)
        program.send_signal(signal.SIGCONT)
        self._bury(program, seconds=30)

    def kill(self) -> None:
        """End the program without a chance to say goodbye (SIGKILL), and wait until it is gone."""
        program = self._running()
        program.kill()
        self._bury(program, seconds=30)

    def freeze(self) -> None:
        """Let it do nothing (SIGSTOP), while its connections stay open; waits until it does."""
        self._running().send_signal(signal.SIGSTOP)
        program = psutil.Process(self.pid)
        until(lambda: program.status() == psutil.STATUS_STOPPED, f"process {self.pid} stopped")

    def thaw(self) -> None:
        """Let it go on after `freeze` (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the program, if it runs, and give up the watcher."""
        if self.running:
            self.kill()
        stdin = self._watcher.stdin
        assert stdin is not None
        stdin.close()
        self._watcher.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._program is None or self._program.poll() is not None:
            raise RuntimeError(f"The program does not run; it left its words in {self.log}")
        return self._program

    def _bury(self, program: subprocess.Popen[bytes], seconds: float) -> None:
        program.wait(timeout=seconds)
        self._tell("")

    def _tell(self, line: str) -> None:
        stdin = self._watcher.stdin
        assert stdin is not None
        stdin.write(f"{line}\n".encode())
        stdin.flush()
