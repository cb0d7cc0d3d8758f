"""Processes of this program that benchmarks start and end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tidemill.errors import WorkerError

APP = "tidemill.cli.bench.app:app"
_GRACE = 30.0
"""Seconds that a worker may take to drain before it is killed."""


@dataclass(frozen=True, slots=True)
class Program:
    """One started process of this program; what it says on standard error is kept."""

    process: asyncio.subprocess.Process
    said: asyncio.Task[bytes]

    async def answer(self) -> bytes:
        """Wait for the process to end well and answer its standard output."""
        assert self.process.stdout is not None
        output = await self.process.stdout.read()
        if await self.process.wait() != 0:
            await self.raise_if_ended()
        return output

    async def raise_if_ended(self) -> None:
        """Raise `WorkerError` with its last words when the process is gone."""
        if self.process.returncode is not None:
            words = (await self.said).decode(errors="replace").strip().splitlines()
            last = words[-1] if words else ""
            raise WorkerError(f"its process ended with code {self.process.returncode}: {last}")


async def start(arguments: Sequence[str], url: str) -> Program:
    """Start `tidemill …` on an engine, with this interpreter."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tidemill",
        *arguments,
        env={**os.environ, "TIDEMILL_URL": url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    return Program(process, asyncio.ensure_future(process.stderr.read()))


@asynccontextmanager
async def worker(url: str, processes: int) -> AsyncIterator[Program]:
    """A worker of the benchmark's application with default settings, ended at the end."""
    more = ["--processes", str(processes)] if processes > 1 else []
    program = await start(["worker", "-A", APP, *more], url)
    try:
        yield program
    finally:
        if program.process.returncode is None:
            program.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(program.process.wait(), _GRACE)
            except TimeoutError:
                program.process.kill()
                await program.process.wait()
        await program.said
