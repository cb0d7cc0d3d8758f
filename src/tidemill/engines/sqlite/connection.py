"""Opening the engine's file: what is refused, and how a connection is set up."""

import os
from collections.abc import Callable
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import Final, Literal

import apsw
import psutil

from tidemill.engines.sqlite.faults import cannot_open
from tidemill.errors import EngineRefused

Durability = Literal["strict", "standard", "fast"]

LOCK_WAIT: Final = 30.0
"""Seconds that a writer waits for other processes before it gives up."""

# OFF gained nothing that could be measured (52,000 tasks/s with it, 50,000 without): a log is only
# synced at a checkpoint anyway.
_SYNCHRONOUS: Final = {"strict": "FULL", "standard": "NORMAL", "fast": "NORMAL"}
_WAL_LIMIT = 64 * 1024 * 1024
_CHECKPOINT_PAGES = 4_000
_CACHE_KIB = {True: 8_192, False: 4_096}
_STATEMENTS_KEPT = 256
_RACY: Final = (3_007_000, 3_051_002)  # a WAL reset can lose committed rows with several writers
_NETWORK: Final = frozenset(
    {
        "9p",
        "afpfs",
        "afs",
        "ceph",
        "cifs",
        "davfs",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "webdav",
    }
)


def connect(path: Path, durability: Durability, *, write: bool) -> apsw.Connection:
    """A connection for one thread. One that only reads never waits for one that writes."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if write else 0)
    on = apsw.Connection(str(path), flags=flags, statementcachesize=_STATEMENTS_KEPT)
    on.set_busy_handler(_patience())
    on.pragma("cache_size", -_CACHE_KIB[write])
    on.pragma("temp_store", "MEMORY")
    if not write:
        on.pragma("query_only", 1)
        return on
    if on.pragma("journal_mode", "WAL") != "wal":
        raise EngineRefused(
            f"{path} cannot use a write-ahead log: its file system does not share memory"
        )
    on.pragma("synchronous", _SYNCHRONOUS[durability])
    on.pragma("journal_size_limit", _WAL_LIMIT)
    on.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
    return on


def _patience() -> Callable[[int], bool]:
    """Waits for other processes in short random steps, up to `LOCK_WAIT` in all.

    SQLite's own waiting grows to steps of 100 ms, which whoever comes later overtakes: with eight
    writing processes the slowest of 30,000 calls waited 850 ms, with short steps 220 ms.
    """
    since = 0.0

    def wait(count: int) -> bool:
        nonlocal since
        now = monotonic()
        if count == 0:
            since = now
        sleep(uniform(0.0002, 0.002))  # noqa: S311  # jitter keeps no secret
        return now - since < LOCK_WAIT

    return wait


def refuse_unusable(path: Path) -> None:
    """Raise `EngineRefused` for a place where SQLite cannot keep tasks safely."""
    if not path.parent.is_dir() or path.is_dir():
        raise EngineRefused(f"{path} cannot be opened: {cannot_open(path)}")
    if path.exists() and not os.access(path, os.W_OK):
        raise EngineRefused(f"{path} cannot be written: give this user write access to it")
    if not os.access(path.parent, os.W_OK):
        raise EngineRefused(
            f"{path.parent} cannot be written: SQLite keeps its write-ahead log beside the file"
        )
    kind = _file_system(path.parent)
    if kind in _NETWORK:
        raise EngineRefused(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold: "
            "use a local disk, or another engine"
        )


def _file_system(folder: Path) -> str:
    mounts = {disk.mountpoint: disk.fstype for disk in psutil.disk_partitions(all=True)}
    above = (str(place) for place in (folder, *folder.parents))
    return next((mounts[place] for place in above if place in mounts), "")


def version_warnings(version: str | None = None) -> tuple[str, ...]:
    """What an operator must know about the SQLite in use (`version`: another one, for tests)."""
    text = version or apsw.sqlite_lib_version()
    major, minor, patch = (int(part) for part in text.split(".")[:3])
    number = major * 1_000_000 + minor * 1_000 + patch
    if _RACY[0] <= number <= _RACY[1]:
        warning = (
            f"SQLite {text} can lose committed tasks when several processes write "
            "(fixed in 3.51.3): upgrade the package apsw"
        )
        return (warning,)
    return ()
