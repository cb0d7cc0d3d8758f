"""Files by what is in them: the same bytes are kept once, under their SHA-256."""

import hashlib
import os
import re
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

LONGEST_NAME: Final = 200
"""Bytes of a safe name in UTF-8; file systems take 255, and a caller may add a suffix."""

_PART: Final = 1024 * 1024
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_UNSAFE: Final = re.compile(r'[<>:"|?*]')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class StoredFile(msgspec.Struct, frozen=True):
    """What a file is called and how large it is: `digest` is the SHA-256, 64 hexadecimal digits."""

    digest: str
    size: int


class FileTooLarge(ValueError):
    """More bytes than the store takes; nothing was kept."""


class UnknownFile(LookupError):
    """The store has no file of this digest."""


class Files:
    """Files of at most `most_bytes` in a folder, named by their content.

    A file is whole or not there: it is written aside, synced and renamed. Threads and processes may
    share the folder. Everything here blocks: async code calls it with `asyncio.to_thread`.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._aside = folder / "unfinished"

    def put(self, content: bytes | BinaryIO | Iterable[bytes]) -> StoredFile:
        """Keep bytes, given whole, as an open file, or in parts; raises `FileTooLarge`."""
        self._aside.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with self._unfinished() as (opened, path):
            for part in _parts(content):
                size += len(part)
                if size > self._most_bytes:
                    raise FileTooLarge(f"the file has more than {self._most_bytes:,} bytes")
                digest.update(part)
                opened.write(part)
            opened.flush()
            os.fsync(opened.fileno())
            stored = StoredFile(digest.hexdigest(), size)
            self._keep(path, self._place(stored.digest))
        return stored

    def path(self, digest: str) -> Path:
        """Where a file is, for reading only; raises `UnknownFile`."""
        found = self._place(digest)
        if not found.is_file():
            raise UnknownFile(f"no file {digest} is kept in {self._folder}")
        return found

    def get(self, digest: str) -> bytes:
        """What is in a file; raises `UnknownFile`, also when that is not what its name says."""
        content = self.path(digest).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise UnknownFile(
                f"file {digest} in {self._folder} was changed or damaged: put it again"
            )
        return content

    def remove(self, digest: str) -> bool:
        """Remove a file that nothing refers to any more; answers whether it was there."""
        try:
            self._place(digest).unlink()
        except FileNotFoundError:
            return False
        return True

    def sweep(self, older_than: timedelta = timedelta(days=1)) -> int:
        """Remove what killed processes left unfinished; answers how many files."""
        before = time.time() - older_than.total_seconds()
        left = self._aside.iterdir() if self._aside.is_dir() else ()
        old = [path for path in left if path.stat().st_mtime <= before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _place(self, digest: str) -> Path:
        if _DIGEST.fullmatch(digest) is None:
            raise UnknownFile(f"{digest!r} is no SHA-256: 64 hexadecimal digits in lower case")
        return self._folder / digest[:2] / digest[2:]

    @contextmanager
    def _unfinished(self) -> Iterator[tuple[BinaryIO, Path]]:
        handle, name = tempfile.mkstemp(dir=self._aside)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as opened:
                yield opened, path
        finally:
            path.unlink(missing_ok=True)

    def _keep(self, path: Path, place: Path) -> None:
        """Give a finished file its place; renaming over the same bytes changes nothing."""
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
        for folder in (place.parent, self._folder):  # the name must outlive a power cut too
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def safe_name(text: str, default: str = "file") -> str:
    """A name that any file system takes, made of what somebody called a file.

    Only its last part, without characters that are not printed, those that Windows refuses, and
    dots or blanks at its ends; cut to `LONGEST_NAME` bytes, keeping its suffix. Chinese stays.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", text))[-1]
    printed = "".join(each if each.isprintable() else " " for each in last)
    name = re.sub(r"\s+", " ", _UNSAFE.sub("_", printed)).strip(" .")
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > 16:
        stem, dot, suffix = name, "", ""
    room = LONGEST_NAME - len((dot + suffix).encode())
    cut = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return (cut + dot + suffix) or default


def _parts(content: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif hasattr(content, "read"):
        while part := content.read(_PART):
            yield part
    else:
        yield from content
