import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from tests.cli.conftest import APP, Shop
from tidemill import VirtualClock
from tidemill.engine import Put
from tidemill.engines import open_engine
from tidemill.outcome import Completed, Failed
from tidemill.testing.builders import BROKE
from tidemill.worker_record import WORKER, HeldTask, SlotUse, WorkerRecord, encode


def test_status_tells_engine_totals_and_queues(shop: Shop) -> None:
    shop.end(shop.new(queue="mail"), outcome=Completed())
    shop.end(shop.new(), shop.new(), outcome=Failed(BROKE))
    shop.enqueue(shop.new())
    record = shop.call("status", "-o", "json").json
    assert record["totals"] == {
        "scheduled": 0,
        "blocked": 0,
        "pending": 1,
        "running": 0,
        "completed": 1,
        "failed": 2,
        "cancelled": 0,
    }
    assert record["engine"]["name"] == "sqlite"
    assert record["engine"]["location"] == str(shop.folder / "shop.db")
    assert [queue["name"] for queue in record["queues"]] == ["default", "mail"]
    assert record["workers"] == []
    assert record["unserved_queues"] == [{"queue": "default", "pending": 1}]
    page = shop.call("status").out
    assert page.startswith(f"engine sqlite at {shop.folder / 'shop.db'}, durability standard\n")
    assert ": pending 1, completed 1, failed 2\n" in page


def tell(
    shop: Shop,
    name: str,
    *task_types: str,
    queues: tuple[str, ...] | None = None,
    clock: VirtualClock | None = None,
) -> None:
    """A worker says that it is there, with two tasks that run and a reserved one."""

    async def run() -> None:
        engine = open_engine(shop.url, clock=clock)
        await engine.migrate()
        record = WorkerRecord(
            name=name,
            host="mill",
            pid=4711,
            queues=queues,
            task_types=task_types,
            concurrency=100,
            threads=16,
            children=2,
            started_at=(await engine.marks([])).at,
            version="1",
            running=3,
            slots={"loop": SlotUse(100, 2), "thread": SlotUse(16, 0), "process": SlotUse(2, 1)},
            tasks=(held("t-1", 300.0), held("t-2", 60.0), held("t-3", None)),
            cpu=12.5,
            memory=64 * 1024 * 1024,
        )
        await engine.put([Put(WORKER, name, encode(record))])
        await engine.close()

    asyncio.run(run())


def held(task_id: str, seconds: float | None) -> HeldTask:
    ran_for = None if seconds is None else timedelta(seconds=seconds)
    return HeldTask(id=task_id, task_type="add", queue="sums", attempt=1, ran_for=ran_for)


def test_status_names_queues_and_types_that_no_live_worker_would_take(shop: Shop) -> None:
    shop.enqueue(
        shop.new(task_type="strange"),
        shop.new(task_type="strange"),
        shop.new(task_type="add"),
        shop.new(task_type="add", queue="sums"),
    )
    tell(shop, "w1", "add", queues=("default",))
    record = shop.call("status", "-o", "json").json
    assert record["unserved_queues"] == [{"queue": "sums", "pending": 1}]
    assert record["unknown_types"] == [{"task_type": "strange", "queue": "default", "pending": 2}]
    (worker,) = record["workers"]
    assert (worker["name"], worker["live"], worker["queues"], worker["running"]) == (
        "w1",
        True,
        ["default"],
        3,
    )
    page = shop.call("status").out
    assert "\nworkers: 1 live, 3 tasks running in them\n" in page
    assert (
        "warning: 1 tasks are pending in the queue sums, and no live worker serves it\n"
        "warning: 2 tasks of strange are pending in the queue default, and no live worker of it "
        "knows that type\n"
    ) in page


def test_status_tells_of_workers_that_are_not_heard_of_any_more(shop: Shop) -> None:
    two_minutes_ago = VirtualClock(datetime.now(UTC) - timedelta(minutes=2))
    tell(shop, "w1", "add", clock=two_minutes_ago)
    shop.enqueue(shop.new(task_type="add"))
    record = shop.call("status", "-o", "json").json
    assert [each["live"] for each in record["workers"]] == [False]
    assert record["unserved_queues"] == [{"queue": "default", "pending": 1}]
    page = shop.call("status").out
    assert "workers: 0 live, 0 tasks running in them\n" in page
    told = "the worker w1 (process 4711 on mill) was last heard of 2 min ago, with 3 tasks\n"
    assert f"warning: {told}" in page
    assert "lost" in row(page, "w1")
    assert not re.search(r"\bt-1\b", page), "nobody knows what became of its tasks"


def row(page: str, start: str) -> list[str]:
    """The cells of a line of a table."""
    [line] = [line for line in page.splitlines() if line.startswith(start)]
    return re.split(r" {2,}", line)


def test_status_shows_live_workers_and_what_they_run(shop: Shop) -> None:
    tell(shop, "w1", "add", queues=("sums", "default"))
    page = shop.call("status").out
    cells = row(page, "w1")
    assert cells[1:9] == [
        "mill",
        "4711",
        "running",
        "sums, default",
        "loop 2/100, process 1/2",
        "3",
        "12 %",
        "64 MiB",
    ]
    assert row(page, "t-1")[1:] == ["add", "sums", "1", "5 min", "w1"]
    assert page.index("t-1") < page.index("t-2")
    assert "t-3" not in page
    [worker] = shop.call("status", "-o", "json").json["workers"]
    assert [each["age"] is None for each in worker["tasks"]] == [False, False, True]
    assert worker["silent"] >= 0


def test_watching_on_a_terminal_shows_it_in_place(shop: Shop) -> None:
    tell(shop, "w1", "add")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    words = ["status", "--watch", "--interval", "0.1", "--engine", shop.url]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tidemill", *words],
        cwd=shop.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while seen.count(b"w1") < 3:
        seen += os.read(ours, 65536)
    watcher.send_signal(signal.SIGINT)
    with suppress(OSError):  # the terminal is gone with its last program
        while True:
            seen += os.read(ours, 65536)
    assert watcher.wait() == 130
    os.close(ours)
    enter, leave = b"\x1b[?1049h", b"\x1b[?1049l"
    assert seen.count(enter) == seen.count(leave) == 1
    assert b"t-1" in seen


def test_watching_goes_on_until_it_is_interrupted(shop: Shop) -> None:
    words = ["status", "--watch", "--interval", "0.1", "-o", "jsonl", "--engine", shop.url]
    watcher = shop.start(*words)
    assert watcher.stdout is not None
    for _ in range(3):
        assert watcher.stdout.readline().startswith('{"at":')
    said = shop.stop(watcher, signal.SIGINT)
    assert (said.code, said.err) == (130, "")


def test_doctor_finds_a_sound_installation_fit(shop: Shop) -> None:
    said = shop.program("doctor", "-A", APP, "-o", "json")
    findings = said.json["findings"]
    assert said.code == 0
    assert {each["level"] for each in findings} == {"ok"}
    told = {each["about"]: each["text"] for each in findings}
    assert told["app"] == "shop:app declares 5 task types on the queues default, families, sums"
    assert told["engine"] == f"sqlite ({shop.folder / 'shop.db'})"
    assert told["durability"].startswith("standard: ")
    assert "free" in told["file_system"]


def test_doctor_goes_on_after_a_failure_and_ends_with_its_code(shop: Shop) -> None:
    said = shop.program("doctor", "-A", "nowhere:app", "--engine", "sqlite:////no/such/x.db")
    lines = [line for line in said.out.splitlines() if "failure" in line]
    assert said.code == 2
    assert len(lines) == 2
    said = shop.program("doctor", "--engine", "sqlite:////no/such/x.db")
    assert said.code == 4


def test_migrate_makes_the_store_and_may_be_repeated(shop: Shop) -> None:
    for _ in range(2):
        said = shop.call("migrate")
        assert said.code == 0
        assert said.out.startswith(f"engine    sqlite ({shop.folder / 'shop.db'})\n")
    assert (shop.folder / "shop.db").exists()
