"""The file of a backup: whole or refused, readable without Tidemill."""

import asyncio
import errno
import gzip
import hashlib
import json
import random
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tidemill.backup import backup, restore, verify
from tidemill.backup.file import MEMBER_BYTES, Writer
from tidemill.backup.lines import Header
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import ConfigError, EngineUnavailable, InvalidBackup
from tidemill.ids import IdMaker
from tidemill.testing.builders import new_task


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


async def filled(engine: MemoryEngine, file: Path, number: int = 1_100) -> None:
    await engine.enqueue([new_task(payload=b"%d" % each) for each in range(number)])
    await backup(engine, file)


def content(file: Path) -> bytes:
    return file.read_bytes()


def lines_of(file: Path) -> list[bytes]:
    return gzip.decompress(content(file)).splitlines(keepends=True)


def write(file: Path, content: bytes | bytearray) -> None:
    file.write_bytes(content)


def pack(file: Path, lines: Iterable[bytes]) -> None:
    """Write lines as a backup would, each in a member of its own."""
    write(file, b"".join(gzip.compress(each) for each in lines))


def rights(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def whatever(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def refusal(file: Path) -> str:
    """What is said of a file that is refused, by a look and by a restore, which writes nothing."""
    fresh = MemoryEngine()
    with pytest.raises(InvalidBackup) as of_verify:
        await verify(file)
    with pytest.raises(InvalidBackup) as of_restore:
        await restore(fresh, file)
    assert str(of_verify.value) == str(of_restore.value)
    assert not (await fresh.stats()).queues
    assert file.name in str(of_verify.value)
    return str(of_verify.value)


async def test_every_gunzip_reads_lines_of_json_and_their_digest(
    engine: MemoryEngine, file: Path
) -> None:
    await filled(engine, file)
    lines = lines_of(file)
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds == ["header", "queue", *["task"] * 1_100, "trailer"]
    trailer = json.loads(lines[-1])
    assert trailer["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    assert trailer["counts"] == {"header": 1, "queue": 1, "task": 1_100}


async def test_a_look_answers_what_taking_it_answered(engine: MemoryEngine, file: Path) -> None:
    await engine.enqueue([new_task() for _ in range(3)])
    report = await backup(engine, file)
    assert await verify(file) == report
    assert (report.file, report.size, report.tasks) == (file, len(content(file)), 3)
    assert (report.engine, report.format, report.queues) == ("memory", 1, 1)


async def test_an_empty_engine_has_a_backup_too(engine: MemoryEngine, file: Path) -> None:
    assert (await backup(engine, file)).tasks == 0
    assert (await restore(engine, file)).restored == 0


async def test_only_its_owner_reads_a_backup_and_nothing_else_is_left(
    engine: MemoryEngine, file: Path
) -> None:
    await filled(engine, file)
    assert rights(file) == 0o600
    assert whatever(file.parent) == [file]


async def test_a_backup_that_fails_leaves_the_one_of_before(
    engine: MemoryEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(engine, file)
    before = content(file)

    async def unavailable(*_: Any) -> Any:
        raise EngineUnavailable

    monkeypatch.setattr(engine, "find", unavailable)
    with pytest.raises(EngineUnavailable):
        await backup(engine, file)
    assert whatever(file.parent) == [file]
    assert content(file) == before


async def test_a_file_that_was_cut_off_anywhere_is_refused(
    engine: MemoryEngine, file: Path
) -> None:
    await filled(engine, file)
    whole = content(file)
    chance = random.Random(1)
    cuts = {*range(8), len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(60))}
    for length in cuts:
        write(file, whole[:length])
        assert "not whole: it ends before its trailer" in await refusal(file), length


async def test_a_file_without_its_last_part_is_refused(engine: MemoryEngine, file: Path) -> None:
    await filled(engine, file)
    lines = lines_of(file)
    pack(file, [*lines[:2], b"".join(lines[2:-1])])
    assert "ends before its trailer" in await refusal(file)


async def test_a_file_in_which_a_byte_was_changed_is_refused(
    engine: MemoryEngine, file: Path
) -> None:
    await filled(engine, file, 40)
    whole = content(file)
    chance = random.Random(2)
    unseen = 0
    for _ in range(200):
        place = chance.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        write(file, changed)
        try:
            await verify(file)
        except InvalidBackup:
            continue
        # gzip has bytes that say nothing: time, system. What is restored is the same.
        assert gzip.decompress(changed) == gzip.decompress(whole)
        unseen += 1
    assert unseen < 20


async def test_a_line_that_was_changed_and_packed_again_is_refused(
    engine: MemoryEngine, file: Path
) -> None:
    await filled(engine, file, 3)
    parts = lines_of(file)
    changed = [each.replace(b'"priority":5', b'"priority":9') for each in parts]
    assert changed != parts
    pack(file, changed)
    assert "not those whose digest it ends with" in await refusal(file)


async def test_a_part_that_was_left_out_is_refused(engine: MemoryEngine, file: Path) -> None:
    await filled(engine, file, 3)
    parts = lines_of(file)
    pack(file, [*parts[:2], *parts[3:]])
    assert "was altered" in await refusal(file)


async def test_what_another_program_packed_again_is_refused(
    engine: MemoryEngine, file: Path
) -> None:
    await filled(engine, file, 3)
    pack(file, [b"".join(lines_of(file))])
    assert "another program packed it again" in await refusal(file)


async def test_counts_that_do_not_fit_are_refused(engine: MemoryEngine, file: Path) -> None:
    await filled(engine, file, 3)
    *lines, trailer = lines_of(file)
    pack(file, [*lines, trailer.replace(b'"task":3', b'"task":4')])
    assert "not as many as it says" in await refusal(file)


async def test_what_follows_the_end_is_refused(engine: MemoryEngine, file: Path) -> None:
    await filled(engine, file, 3)
    whole = content(file)
    write(file, whole + whole)
    assert "something follows its end" in await refusal(file)
    write(file, whole + b"more")
    assert "was altered" in await refusal(file)


async def test_what_is_no_backup_is_refused(file: Path) -> None:
    write(file, b"")
    assert "not whole" in await refusal(file)
    write(file, b"SQLite format 3\x00")
    assert "is not a backup: it is no gzip file" in await refusal(file)
    pack(file, [b"once upon a time\n"])
    assert "a line of it cannot be read" in await refusal(file)
    pack(file, [b'{"type":"queue","name":"q","weight":1,"paused":false}\n'])
    assert "is not a backup" in await refusal(file)


async def test_a_newer_format_is_refused_by_its_number(file: Path, engine: MemoryEngine) -> None:
    with file.open("wb") as stream:
        writer = Writer(stream)
        stats = await engine.stats()
        writer.write([Header(format=2, at=stats.at, engine="memory", versions={})])
        writer.close(missing=0)
    assert "has format 2, this Tidemill knows formats up to 1" in await refusal(file)


async def test_large_tasks_are_spread_over_members(engine: MemoryEngine, file: Path) -> None:
    large = [new_task(payload=random.Random(each).randbytes(900_000)) for each in range(12)]
    await engine.enqueue(large)
    await backup(engine, file)
    sizes = [len(text) for text in members(file)]
    assert max(sizes) < MEMBER_BYTES + 2_000_000
    assert len(sizes) > 4
    fresh = MemoryEngine()
    assert (await restore(fresh, file)).restored == 12


def members(file: Path) -> list[bytes]:
    """What is in each gzip member of a file."""
    found, rest = [], content(file)
    while rest:
        member = zlib.decompressobj(wbits=31)
        found.append(member.decompress(rest))
        rest = member.unused_data
    return found


async def test_a_place_that_cannot_be_written_is_said(engine: MemoryEngine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/b\.gz cannot be written: No such file"):
        await backup(engine, tmp_path / "nowhere" / "b.gz")
    with pytest.raises(ConfigError, match=r"b\.gz cannot be read: No such file"):
        await restore(engine, tmp_path / "b.gz")


async def test_two_backups_into_one_file_at_once_leave_a_whole_one(
    engine: MemoryEngine, file: Path
) -> None:
    await engine.enqueue([new_task(IdMaker().make()) for _ in range(700)])
    reports = await asyncio.gather(*(backup(engine, file) for _ in range(3)))
    assert {report.tasks for report in reports} == {700}
    assert (await verify(file)).tasks == 700
    assert whatever(file.parent) == [file]


async def test_a_full_disk_ends_a_backup_without_a_file(
    engine: MemoryEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "write", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        await backup(engine, file)
    assert whatever(file.parent) == []


async def test_what_an_engine_raises_is_not_taken_for_the_disks(
    engine: MemoryEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: Any) -> Any:
        raise ConnectionResetError

    monkeypatch.setattr(engine, "find", cut_off)
    with pytest.raises(ConnectionResetError):
        await backup(engine, file)
    assert whatever(file.parent) == []
