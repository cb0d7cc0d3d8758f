"""What task functions really did, written where no engine and no `kill -9` can change it.

Each process appends to a file of its own, one `write` per line: what was written before a kill is
in the page cache and stays. Instants are `CLOCK_MONOTONIC`, which all processes of a machine share.
"""

import os
import time
from pathlib import Path
from typing import Literal

import msgspec

Phase = Literal["ready", "begin", "end", "settled", "lost", "fired", "error", "missed"]


class Entry(msgspec.Struct, frozen=True):
    """One observation. `at` is in nanoseconds; `parent` is the process that started `pid`.

    A task function wrote `begin` and `end`; its worker wrote `settled` when the engine had told it
    that the result is recorded, and a scheduler `fired` when it had enqueued the task. The note of
    `missed` is a worker that is not heard of any more.
    """

    phase: Phase
    at: int
    pid: int
    parent: int
    task_id: str = ""
    attempt: int = 0
    note: str = ""


class Ledger:
    """Appends observations of this process, wherever it was forked or spawned."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._open: tuple[int, int] | None = None

    def write(self, phase: Phase, task_id: str = "", attempt: int = 0, note: str = "") -> None:
        """Append one line; it survives this process from the moment that the call returns."""
        pid = os.getpid()
        if self._open is None or self._open[0] != pid:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._open = pid, os.open(self._folder / f"{pid}.jsonl", flags, 0o644)
        entry = Entry(phase, time.monotonic_ns(), pid, os.getppid(), task_id, attempt, note)
        os.write(self._open[1], msgspec.json.encode(entry) + b"\n")


def read(folder: Path) -> list[Entry]:
    """All observations of all processes, in the order of time."""
    decode = msgspec.json.Decoder(Entry).decode
    lines = (line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines())
    return sorted(map(decode, lines), key=lambda entry: entry.at)
