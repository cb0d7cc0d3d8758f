"""Several worker processes are scraped as one, and a process that ends takes nothing with it."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.cli.conftest import APP, Shop, shop
from tests.observe.scraping import Scrape
from tidemill.metrics import Family, Sample
from tidemill.observe.processes import Together

PATIENCE = 30.0
__all__ = ["shop"]


def _scrape(url: str) -> Scrape:
    return Scrape.of(httpx.get(url).text)


def _until(url: str, holds: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape of which this holds; the counts of a process are a second old at most."""
    end = time.monotonic() + PATIENCE
    while not holds(found := _scrape(url)):
        assert time.monotonic() < end, sorted(found.samples())
    return found


@pytest.fixture
def url_of(shop: Shop) -> Callable[..., str]:
    def start(*words: str) -> str:
        process = shop.start(*words, "-A", APP, "--metrics-port", "0")
        said = shop.hear(process, "metrics are at")
        [url] = re.findall(r"http://\S+", said)
        return str(url)

    return start


def test_two_processes_are_scraped_at_one_port_and_a_killed_one_is_not_forgotten(
    shop: Shop, url_of: Callable[..., str]
) -> None:
    url = url_of("worker", "--processes", "2", "--grace", "1")
    _until(url, lambda found: found.value("tidemill_pool_slots", pool="loop") == 200)
    for number in range(30):
        shop.call("enqueue", "add", "-A", APP, "-p", f'{{"a": {number}}}')
    before = _until(url, lambda found: found.value("tidemill_tasks_completed_total") == 30)
    assert before.value("tidemill_claimed_tasks_total") == 30
    [folder] = _folders_of(shop.started[0].pid)
    victim = int(min(folder.glob("*.metrics")).stem)
    os.kill(victim, signal.SIGKILL)
    fallen = []

    def one_is_gone(found: Scrape) -> bool:
        if found.value("tidemill_tasks_completed_total") < 30:
            fallen.append(found)
        return found.value("tidemill_pool_slots", pool="loop") == 100

    _until(url, one_is_gone)
    back = _until(url, lambda found: found.value("tidemill_pool_slots", pool="loop") == 200)
    assert fallen == []
    assert back.value("tidemill_tasks_completed_total") == 30
    shop.call("enqueue", "add", "-A", APP, "-p", '{"a": 1}')
    _until(url, lambda found: found.value("tidemill_tasks_completed_total") == 31)
    assert shop.stop(shop.started[0]).code == 0
    assert not folder.exists()


def _folders_of(pid: int) -> list[Path]:
    """The folders that the children of a supervisor were told."""
    found = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if "--metrics-folder" in words:
            found.add(Path(words[words.index("--metrics-folder") + 1]))
    return list(found)


@pytest.mark.parametrize("program", ["worker", "scheduler"])
def test_a_program_of_one_process_serves_its_metrics(
    shop: Shop, url_of: Callable[..., str], program: str
) -> None:
    found = _scrape(url_of(program))
    assert found.value("tidemill_engine_up") == 1
    assert shop.stop(shop.started[0]).code == 0


def test_a_port_in_use_is_told_and_ends_the_program(shop: Shop, url_of: Callable[..., str]) -> None:
    port = url_of("scheduler").split(":")[2].split("/")[0]
    said = shop.program("worker", "-A", APP, "--metrics-port", port)
    assert said.code == 2
    assert f"metrics cannot be served on 127.0.0.1:{port}" in said.err


def test_the_configuration_names_the_port_too(shop: Shop) -> None:
    (shop.folder / "tidemill.yaml").write_text("metrics:\n  port: 0\n")
    process = shop.start("scheduler", "-A", APP)
    assert "metrics are at http://127.0.0.1:" in shop.hear(process, "metrics are at")


def _write(folder: Path, pid: int, *families: Family) -> None:
    (folder / f"{pid}.metrics").write_bytes(msgspec.msgpack.encode(list(families)))


def _counter(value: float) -> Family:
    return Family("done_total", "counter", "Done.", (), (Sample((), value),))


def test_counters_of_ended_processes_stay_and_their_gauges_go(tmp_path: Path) -> None:
    together = Together(tmp_path)
    gauge = Family("now", "gauge", "Now.", (), (Sample((), 7),))
    _write(tmp_path, 1, _counter(5), gauge)
    _write(tmp_path, 2, _counter(3))
    assert [each.samples[0].value for each in together.families()] == [8, 7]
    together.ended(1)
    assert [(each.name, each.samples[0].value) for each in together.families()] == [
        ("done_total", 8)
    ]
    _write(tmp_path, 1, _counter(1))
    assert together.families()[0].samples[0].value == 9


def test_a_process_that_ended_before_it_wrote_is_no_problem(tmp_path: Path) -> None:
    together = Together(tmp_path)
    together.ended(5)
    (tmp_path / "6.metrics").write_bytes(b"half")
    assert together.families() == []
