"""Waking whoever waits: futures in this process, datagrams to others on the machine.

A process that waits has a Unix datagram socket in a folder beside the file; whoever commits
sends a datagram to each socket there. A datagram may be lost (a full buffer means that its
reader is about to look anyway), so waiters also look at the file four times a second.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from tidemill.clock import SystemClock

Kind = Literal["work", "feed"]

_ANY: Final = "*"
_LONGEST_TEXT = 1_024
_LONGEST_FOLDER = 80  # a socket's whole path fits 104 bytes on macOS, 108 on Linux
_UNSETTLED = 50_000  # us: a folder's time stamp is only as fine as the kernel's tick


def folder_of(path: Path) -> Path:
    """Where the sockets of a file's waiters are: beside it, or in the temporary folder."""
    beside = path.with_name(f"{path.name}-wake")
    if len(os.fsencode(beside)) <= _LONGEST_FOLDER:
        return beside
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tidemill-{digest}-wake"


class Ear:
    """One wait: it hears of tasks in its queues, or of new entries in the feed."""

    def __init__(self, kind: Kind, queues: frozenset[str] | None) -> None:
        self.kind = kind
        self.loop = asyncio.get_running_loop()
        self._queues = queues
        self._heard = asyncio.Event()

    def concerns(self, queues: frozenset[str], *, told: bool) -> bool:
        """Whether a commit that made tasks of these queues pending is of interest."""
        if self.kind == "feed":
            return told
        return bool(queues) and (
            self._queues is None or _ANY in queues or not self._queues.isdisjoint(queues)
        )

    def ring(self) -> None:
        """Wake the waiter, from its own loop."""
        self._heard.set()

    async def heard(self, timeout: float) -> bool:
        """Whether something was heard since the wait began, or is within `timeout` seconds."""
        if self._heard.is_set():
            self._heard.clear()
            return True
        handle = self.loop.call_later(timeout, self._heard.set)
        before = self.loop.time() + timeout
        try:
            await self._heard.wait()
        finally:
            handle.cancel()
        self._heard.clear()
        return self.loop.time() < before


class Bell:
    """The waiters of one process and the way to those of others, for one file."""

    def __init__(self, path: Path) -> None:
        self.folder = folder_of(path)
        self._lock = threading.Lock()
        self._ears: tuple[Ear, ...] = ()
        self._own: frozenset[str] = frozenset()
        self._peers: tuple[tuple[str, Kind], ...] = ()
        self._listed = -1
        self._socket: socket.socket | None = None

    @contextlib.contextmanager
    def listening(self, ear: Ear) -> Iterator[Ear]:
        """Let an ear hear what is committed in this process."""
        with self._lock:
            self._ears = (*self._ears, ear)
        try:
            yield ear
        finally:
            with self._lock:
                self._ears = tuple(other for other in self._ears if other is not ear)

    def ring(self, queues: frozenset[str], *, told: bool) -> None:
        """Tell everybody of a commit. Only the writer's thread calls it."""
        self.ring_here(queues, told=told)
        self._ring_others(queues, told=told)

    def ring_here(
        self,
        queues: frozenset[str],
        *,
        told: bool,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Tell this process (or only the waiters of one loop, from within it) of a commit."""
        for ear in self._ears:
            if not ear.concerns(queues, told=told):
                continue
            if loop is ear.loop:
                ear.ring()
            elif loop is None:
                with contextlib.suppress(RuntimeError):  # its loop was closed
                    ear.loop.call_soon_threadsafe(ear.ring)

    def _ring_others(self, queues: frozenset[str], *, told: bool) -> None:
        for place, kind in self._others():
            if kind == "work" and queues:
                self._send(place, _encoded(queues))
            elif kind == "feed" and told:
                self._send(place, b"")

    def _others(self) -> tuple[tuple[str, Kind], ...]:
        """The sockets of other processes; listed again when the folder has changed."""
        try:
            changed = self.folder.stat().st_mtime_ns
            if changed != self._listed:
                now = SystemClock().now()
                self._peers = tuple(_peers(self.folder, self._own))
                self._listed = changed if now - changed // 1_000 > _UNSETTLED else -1
        except OSError:  # nobody has waited yet, or the folder is no folder
            return ()
        return self._peers

    def _send(self, place: str, text: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0.0)
        try:
            self._socket.sendto(text, place)
        except BlockingIOError:
            return
        except ConnectionRefusedError:  # its process has ended without removing it
            with contextlib.suppress(OSError):
                os.unlink(place)  # noqa: PTH108  # places are plain strings on this hot path
        except OSError:
            self._listed = -1

    def own(self, name: str, *, there: bool) -> None:
        """Know a socket of this process, which needs no datagrams."""
        with self._lock:
            self._own = self._own | {name} if there else self._own - {name}
            self._listed = -1

    def close(self) -> None:
        """Release the sending socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Letterbox:
    """Where one session's loop receives the datagrams of other processes."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._boxes: dict[Kind, tuple[socket.socket, Path]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, kind: Kind) -> None:
        """Receive datagrams of a kind from now on. Without Unix sockets, waiters only look."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.close()
            self._loop = loop
        if kind in self._boxes or not hasattr(socket, "AF_UNIX"):
            return
        box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        box.settimeout(0.0)
        place = self._bell.folder / f"{os.getpid()}-{secrets.token_hex(4)}.{kind}"
        try:
            self._bell.folder.mkdir(exist_ok=True)
            self._bell.own(place.name, there=True)
            box.bind(str(place))
            loop.add_reader(box, self._receive, kind, box)
        except (OSError, NotImplementedError):
            box.close()
            return
        self._boxes[kind] = (box, place)

    def _receive(self, kind: Kind, box: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                text = box.recv(_LONGEST_TEXT + 1)
                queues = frozenset(text.decode().split("\n")) if kind == "work" else frozenset()
                self._bell.ring_here(queues, told=kind == "feed", loop=self._loop)

    def close(self) -> None:
        """Remove the sockets."""
        for box, place in self._boxes.values():
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(box)
            box.close()
            place.unlink(missing_ok=True)
            self._bell.own(place.name, there=False)
        if self._boxes:
            with contextlib.suppress(OSError):  # others still wait there
                self._bell.folder.rmdir()
        self._boxes.clear()


def _encoded(queues: frozenset[str]) -> bytes:
    text = "\n".join(queues).encode()
    return text if len(text) <= _LONGEST_TEXT else _ANY.encode()


def _peers(folder: Path, own: frozenset[str]) -> Iterator[tuple[str, Kind]]:
    for entry in os.scandir(folder):
        if entry.name in own:
            continue
        if entry.name.endswith(".work"):
            yield entry.path, "work"
        elif entry.name.endswith(".feed"):
            yield entry.path, "feed"
