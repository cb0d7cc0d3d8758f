"""Mail from files into the store: an mbox file, a maildir, or a folder of mails.

Mails are read and stored in batches, so that neither a file nor a folder has to fit into memory.
What breaks in between keeps what is stored; the same import again adds only what is missing.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec

from tidemill_apps.mailroom.mbox import mails_in
from tidemill_apps.mailroom.store import BATCH, MOST_BYTES, MailStore, Origin, Raw, Stored

BATCH_BYTES: Final = 16 * 1024 * 1024
"""A batch ends here, too: fifty mails may have videos in them."""

NAMED: Final = 20
"""Files that are named when they cannot be read; the others are counted."""

_BEGINNING: Final = 4096
_FIELD: Final = re.compile(rb"^[!-9;-~]{2,76}:[ \t]", re.MULTILINE)
_LONGEST_FOLDER: Final = 500


class ImportProgress(msgspec.Struct, frozen=True):
    """How far an import is: `read` of the `total` bytes, with what became of the mails so far.

    `skipped` counts the files that are no mail or could not be read; `named` are the first of them
    with the reason.
    """

    total: int
    read: int = 0
    stored: Stored = Stored()
    skipped: int = 0
    named: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True):
    """A file with mail, one if it is `single`; `certain` when nobody has to look whether it is."""

    path: Path
    folder: str
    size: int
    single: bool
    certain: bool


class Skipped(msgspec.Struct, frozen=True):
    """A file that gives no mail, and why."""

    path: Path
    reason: str
    size: int = 0


class Batch(msgspec.Struct, frozen=True):
    """Mails of one folder, what was left out before them, and the bytes read since the last one."""

    folder: str
    mails: tuple[Raw, ...]
    read: int
    skipped: tuple[Skipped, ...] = ()


async def import_mails(store: MailStore, user_id: str, path: Path) -> AsyncIterator[ImportProgress]:
    """Store all mails of a file or a folder for a user; yields how far it is after each batch.

    A file is an mbox or a single mail. In a folder, every file is one or the other; those of a
    maildir are mails. Raises `FileNotFoundError`, and whatever the store raises.
    """
    sources = await asyncio.to_thread(sources_in, path)
    now = ImportProgress(total=sum(each.size for each in sources))
    yield now
    batches = batches_of(sources)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        stored = await store.store(Origin(user_id, None, batch.folder), batch.mails)
        named = now.named + tuple(f"{each.path}: {each.reason}" for each in batch.skipped)
        now = ImportProgress(
            total=now.total,
            read=min(now.total, now.read + batch.read),
            stored=now.stored + stored,
            skipped=now.skipped + len(batch.skipped),
            named=named[:NAMED],
        )
        yield now


def sources_in(path: Path) -> list[Source]:
    """Return the files to import in the order of their names; raises `FileNotFoundError`."""
    if path.is_file():
        name, size = path.stem[:_LONGEST_FOLDER], path.stat().st_size
        return [Source(path, name, size, _is_single(path), certain=True)]
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {path}")
    found: list[Source] = []
    for place, folders, names in os.walk(path):
        here = Path(place)
        maildir = {"cur", "new"} <= set(folders)
        # a maildir's own folders are hidden, and mails that are not yet whole are in tmp
        folders[:] = sorted(
            each
            for each in folders
            if _is_maildir(here / each) or not (each.startswith(".") or (maildir and each == "tmp"))
        )
        single = here.name in {"cur", "new"} and _is_maildir(here.parent)
        folder = _folder_name(path, here.parent if single else here)
        # what stands in a maildir beside its folders is its server's
        shown = [] if maildir else [each for each in sorted(names) if not each.startswith(".")]
        files = (here / name for name in shown)
        found += [
            Source(file, folder, file.stat().st_size, single or _is_single(file), certain=single)
            for file in files
            if file.is_file()
        ]
    return found


def batches_of(sources: list[Source]) -> Iterator[Batch]:
    """Yield the mails of files in batches that a store takes; blocking."""
    mails, skipped = list[Raw](), list[Skipped]()
    folder, size, read = "", 0, 0
    for item in _items(sources):
        if isinstance(item, Skipped):
            skipped.append(item)
            read += item.size
            continue
        full = len(mails) == BATCH or size >= BATCH_BYTES or item.folder != folder
        if mails and full:
            yield Batch(folder, tuple(mails), read, tuple(skipped))
            mails, skipped, size, read = [], [], 0, 0
        folder = item.folder
        mails += item.mails
        size += sum(len(each.data) for each in item.mails)
        read += item.read
    if mails or skipped or read:
        yield Batch(folder, tuple(mails), read, tuple(skipped))


def _items(sources: list[Source]) -> Iterator[Batch | Skipped]:
    """Yield each mail as a batch of one, and each file that has none."""
    for source in sources:
        before = 0
        try:
            with source.path.open("rb") as file:
                beginning = file.read(_BEGINNING)
                if not (source.certain or _FIELD.search(beginning)):
                    reason = "it is no mail" if beginning else "it is empty"
                    yield Skipped(source.path, reason, source.size)
                    continue
                file.seek(0)
                if source.single:
                    yield Batch(source.folder, (Raw(file.read(MOST_BYTES + 1)),), source.size)
                    continue
                for piece in mails_in(file):
                    raw = Raw(piece.data, piece.problem)
                    yield Batch(source.folder, (raw,), piece.end - before)
                    before = piece.end
        except OSError as error:
            yield Skipped(source.path, error.strerror or str(error))


def _is_single(path: Path) -> bool:
    return path.suffix.lower() == ".eml"


def _is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() and (path / "new").is_dir()


def _folder_name(root: Path, place: Path) -> str:
    relative = place.relative_to(root).as_posix()
    if relative != ".":
        name = relative.lstrip(".")
    else:
        name = "INBOX" if _is_maildir(root) else root.resolve().name
    return name[:_LONGEST_FOLDER]
