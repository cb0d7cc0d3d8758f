"""A full disk, a read-only one and paths that lead nowhere: a clear error, and nothing lost."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.chaos.app import NAP, Plan, build
from tests.chaos.facts import until
from tests.chaos.history import ends
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tidemill import EngineFull, TidemillError

BATCH = 50
PADDING = 64 * 1024


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `size` is in MiB."""

    size: int = 12
    tasks: int = 200
    patience: float = 60.0


async def disk(
    folder: Path, seed: int, wanted: Disk, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it; needs root for a small file system of its own."""
    command = repeat("disk", seed, store, wanted)
    broken = await _nowhere(folder)
    try:
        with _small(folder / "small", wanted.size) as small:
            report = await _full(small, command, wanted, broken, quiet=quiet)
        with _small(folder / "sealed", wanted.size) as sealed:
            broken += await _read_only(sealed)
    except PermissionError as error:
        return Report("disk", command, [], broken, skipped=str(error))
    return report


async def _full(
    small: Path, command: str, wanted: Disk, broken: list[str], *, quiet: bool
) -> Report:
    with opened("sqlite", small) as url:
        async with stage(small, "disk", url, quiet=quiet) as on:
            return await _fill_up(on, small, command, wanted, broken)


async def _fill_up(on: Stage, small: Path, command: str, wanted: Disk, broken: list[str]) -> Report:
    pid = on.crew.start()
    await until(lambda: on.crew.is_ready(pid), 20)
    await on.naps([0.01] * wanted.tasks)
    await on.drained(wanted.patience, wanted.tasks, "before")
    ballast = small / "ballast"
    _fill(ballast)
    refused = await _enqueue_until_refused(on, wanted, broken)
    ballast.unlink()
    later = await on.naps([0.01] * wanted.tasks)
    if not await on.drained(wanted.patience, len(on.accepted), "after"):
        broken.append(f"not drained after space returned: {dict(await on.counts())}")
    if on.crew.fallen():
        broken.append("the worker fell when the disk was full")
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    counts = await on.counts()
    history = await on.history()
    broken += ends(history)
    if counts.total() != len(on.accepted):
        broken.append(f"{counts.total()} tasks exist, {len(on.accepted)} were accepted")
    figures = [
        ("file system", f"{wanted.size} MiB"),
        ("accepted before it was full", str(len(on.accepted) - len(later))),
        ("error", refused),
        ("accepted after space returned, and completed", str(len(later))),
    ]
    return Report("disk", command, figures, broken)


async def _enqueue_until_refused(on: Stage, wanted: Disk, broken: list[str]) -> str:
    """Enqueue until the engine says that it is full; answers what it said."""
    for _ in range(wanted.size * 1_000):
        before = (await on.counts()).total()
        try:
            await on.naps([0.0] * BATCH)
        except EngineFull as error:
            if (await on.counts()).total() != before:
                broken.append("a refused batch left tasks behind")
            return _plain(error, broken)
        except TidemillError as error:
            broken.append(f"a full disk raised {type(error).__name__}, not EngineFull: {error}")
            return _plain(error, broken)
    broken.append("the disk never became full: nothing was tested")
    return ""


def _plain(error: TidemillError, broken: list[str]) -> str:
    text = str(error)
    if not text or "\n" in text:
        broken.append(f"an error of {len(text.splitlines())} lines: {text}")
    return f"{type(error).__name__}: {text}"


def _fill(ballast: Path) -> None:
    """Take all but the last few blocks of the file system."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while shutil.disk_usage(ballast.parent).free > PADDING:
                file.write(bytes(4096))
        except OSError:
            return


async def _nowhere(folder: Path) -> list[str]:
    """Paths on which no store can be."""
    text = "This is no database, but it is there. " * 100
    _write({folder / "file": "not a folder", folder / "text.db": text})
    urls = {
        "a folder that does not exist": f"sqlite:///{folder}/none/tasks.db",
        "a folder that is a file": f"sqlite:///{folder}/file/tasks.db",
        "a folder instead of a file": f"sqlite:///{folder}",
        "a file that is no database": f"sqlite:///{folder}/text.db",
    }
    broken: list[str] = []
    for what, url in urls.items():
        await _refused(url, folder, what, broken)
    if _text(folder / "text.db") != text:
        broken.append("a file that is no database was overwritten")
    return broken


def _write(texts: dict[Path, str]) -> None:
    for file, text in texts.items():
        file.write_text(text)


def _text(file: Path) -> str:
    return file.read_text()


async def _read_only(sealed: Path) -> list[str]:
    """A store where nothing can be written any more."""
    broken: list[str] = []
    url = f"sqlite:///{sealed}/tasks.db"
    words = [sys.executable, "-m", "tidemill", "migrate", "--engine", url]
    await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)
    _mount("-o", "remount,ro", str(sealed))
    await _refused(url, sealed.parent, "a read-only file", broken)
    return broken


async def _refused(url: str, folder: Path, what: str, broken: list[str]) -> None:
    app = build(Plan(url=url, ledger=str(folder / "ledger"), conductor=os.getpid()))
    try:
        async with asyncio.timeout(30):
            await app.function(NAP).enqueue(seconds=0.0)
    except TidemillError as error:
        _plain(error, broken)
    except Exception as error:  # noqa: BLE001  # that is what is judged
        broken.append(f"{what} raised {type(error).__name__}: {error}")
    else:
        broken.append(f"{what} was accepted as an engine")
    finally:
        await app.close()


@contextmanager
def _small(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many MiB, gone in the end."""
    if os.geteuid() != 0:
        raise PermissionError("a small file system can be mounted by root only")
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(done.stderr.strip())
