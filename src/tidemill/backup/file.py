"""The file of a backup: gzip members of lines, written in order, checked, and read at any place."""

import asyncio
import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tidemill.backup.lines import FORMAT, Header, Line, Trailer, decoder, encoder, kind_of
from tidemill.errors import ConfigError, InvalidBackup

MEMBER_BYTES: Final = 4 * 1024 * 1024
"""About what one member holds, so that neither end has to hold more at once."""

_CHUNK: Final = 256 * 1024
_GZIP: Final = 31
"""`wbits` of zlib for a gzip header and the largest window."""


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds: how many of each, and its size in bytes.

    `at` is when it began, by the engine's clock. `missing` tasks were there then and are not in it:
    they were removed before it came to them, or the engine's search did not know them
    (`docs/backup.md`).
    """

    file: Path
    size: int
    at: datetime
    engine: str
    format: int
    queues: int
    documents: int
    marks: int
    tallies: int
    tasks: int
    missing: int


class Contents(msgspec.Struct, frozen=True):
    """A backup that was checked: its report, and where the members with each kind begin."""

    report: BackupReport
    members: dict[str, list[int]]


class Writer:
    """Writes lines into a file, counts them, and closes with the trailer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._counts: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines of one kind, in as many members as they need."""
        self._counts.update(kind_of(line) for line in lines)
        member = bytearray()
        for line in lines:
            member += encoder.encode(line) + b"\n"
            if len(member) >= MEMBER_BYTES:
                self._put(member)
                member = bytearray()
        if member:
            self._put(member)

    def close(self, missing: int) -> None:
        """Write the trailer."""
        self._put(encoder.encode(Trailer(self._counts, missing, self._digest.hexdigest())) + b"\n")

    def _put(self, text: bytes | bytearray) -> None:
        self._digest.update(text)
        self._file.write(gzip.compress(text, compresslevel=6, mtime=0))


async def verify(file: Path) -> BackupReport:
    """Read a whole backup and check it; raises `InvalidBackup` that says what is wrong."""
    with await asyncio.to_thread(open_file, file) as stream:
        return (await asyncio.to_thread(check, stream, file)).report


def open_file(file: Path) -> BinaryIO:
    """A file to read; raises `ConfigError`."""
    try:
        return file.open("rb")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def check(stream: BinaryIO, file: Path) -> Contents:
    """Read a backup to its end: digest, counts, every line."""
    digest, counts = hashlib.sha256(), Counter[str]()
    places: dict[str, list[int]] = {}
    header, trailer = None, None
    for place, text in _members(stream, file):
        if trailer is not None:
            raise _altered(file, "something follows its end")
        lines = _read(text, file)
        if header is None:
            header = _header(lines, file)
        if len(set(map(kind_of, lines))) > 1:
            raise _altered(file, "another program packed it again")
        if isinstance(lines[0], Trailer):
            trailer = lines[0]
            if trailer.sha256 != digest.hexdigest():
                raise _altered(file, "its lines are not those whose digest it ends with")
        else:
            digest.update(text)
            counts.update(map(kind_of, lines))
            places.setdefault(kind_of(lines[0]), []).append(place)
    if header is None or trailer is None:
        raise _cut_off(file)
    if counts != trailer.counts:
        raise _altered(file, "its lines are not as many as it says")
    report = BackupReport(
        file=file,
        size=stream.tell(),
        at=header.at,
        engine=header.engine,
        format=header.format,
        queues=counts["queue"],
        documents=counts["document"],
        marks=counts["mark"],
        tallies=counts["tally"],
        tasks=counts["task"],
        missing=trailer.missing,
    )
    return Contents(report, places)


def read_member(stream: BinaryIO, place: int, file: Path) -> list[Line]:
    """The lines of one member."""
    stream.seek(place)
    for _, text in _members(stream, file):
        return _read(text, file)
    raise _cut_off(file)


def _members(stream: BinaryIO, file: Path) -> Iterator[tuple[int, bytes]]:
    """Where each member begins, from where the stream stands, and what is in it."""
    place = stream.tell()
    left = stream.read(_CHUNK)
    while left:
        member = zlib.decompressobj(wbits=_GZIP)
        parts: list[bytes] = []
        length = 0
        while not member.eof:
            if not left:
                raise _cut_off(file)
            try:
                parts.append(member.decompress(left))
            except zlib.error as error:
                what = "it is no gzip file" if place == 0 and not any(parts) else "it was altered"
                raise InvalidBackup(f"{file} is not a backup: {what} ({error})") from error
            length += len(left)
            left = member.unused_data or stream.read(_CHUNK)
        length -= len(member.unused_data)
        yield place, b"".join(parts)
        place += length


def _read(text: bytes, file: Path) -> list[Line]:
    try:
        lines = [decoder.decode(line) for line in text.split(b"\n")[:-1]]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBackup(
            f"{file} is not a backup: a line of it cannot be read ({error})"
        ) from error
    if not lines:
        raise _altered(file, "a part of it is empty")
    return lines


def _header(lines: Sequence[Line], file: Path) -> Header:
    match lines:
        case [Header(format=found), *_] if found > FORMAT:
            raise InvalidBackup(
                f"{file} has format {found}, this Tidemill knows formats up to {FORMAT}: restore "
                "it with the version that wrote it, or a newer one"
            )
        case [Header() as header, *_]:
            return header
        case _:
            raise InvalidBackup(f"{file} is not a backup: it does not begin with a header")


def _cut_off(file: Path) -> InvalidBackup:
    return InvalidBackup(
        f"{file} is not whole: it ends before its trailer, so that writing or copying it was cut "
        "off; use another copy"
    )


def _altered(file: Path, what: str) -> InvalidBackup:
    return InvalidBackup(f"{file} was altered after it was written: {what}; use another copy")
