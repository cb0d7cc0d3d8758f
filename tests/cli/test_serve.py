import signal

import msgspec
import pytest

from tests.cli.conftest import APP, Shop


@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_worker_tells_its_start_its_failures_and_its_end(shop: Shop, command: str) -> None:
    worker = shop.start(command, "-A", APP, "-Q", "default,sums", "-c", "7", until="is ready")
    failed = shop.program(*f"enqueue boom -A {APP} --wait --timeout 30 -p".split(), '{"text": "x"}')
    assert failed.code == 1
    said = shop.stop(worker)
    assert said.code == 0
    assert "durability standard: accepted tasks survive a crash" in said.err
    assert "failed for good at attempt 1: builtins.ValueError: x" in said.err
    assert "takes no more and finishes 0 tasks (SIGTERM)" in said.err
    assert said.err.splitlines()[-1].endswith("has stopped; 0 tasks handed back")


def test_a_worker_tells_events_as_lines_of_json(shop: Shop) -> None:
    worker = shop.start("worker", "-A", APP, "-Q", "sums", "-o", "jsonl", until="WorkerStarted")
    said = shop.stop(worker)
    events = [msgspec.json.decode(line)["event"] for line in said.err.splitlines()]
    assert events == ["EngineOpened", "WorkerDraining", "WorkerStopped"]


def test_a_worker_serves_only_its_queues(shop: Shop) -> None:
    worker = shop.start("worker", "-A", APP, "-Q", "sums", until="is ready")
    words = [*f"enqueue add -A {APP} --wait --timeout 30 -p".split(), '{"a": 1}']
    left = shop.program("enqueue", "add", "-A", APP, "--queue", "other", "-p", '{"a": 1}')
    assert shop.program(*words).out == "2\n"
    assert shop.stop(worker).code == 0
    assert shop.call("task", "show", left.out.strip(), "-o", "json").json["state"] == "pending"


def test_an_engine_that_refuses_ends_the_worker(shop: Shop) -> None:
    said = shop.program("worker", "-A", APP, "--engine", "sqlite:////no/such/folder/x.db")
    assert (said.code, said.out) == (4, "")
    assert said.err.startswith("error: /no/such/folder/x.db cannot be opened")
    assert said.err.count("\n") == 1


def test_several_processes_work_and_end_together(shop: Shop) -> None:
    workers = shop.start("worker", "-A", APP, "--processes", "2")
    said = shop.program(*f"enqueue add -A {APP} --wait --timeout 30 -p".split(), '{"a": 1}')
    assert said.out == "2\n"
    ended = shop.stop(workers)
    assert ended.code == 0
    assert ended.err.count("the worker process") == 2


def test_a_worker_that_has_run_enough_tasks_is_replaced_under_the_same_process_id(
    shop: Shop,
) -> None:
    worker = shop.start("worker", "-A", APP, "--max-tasks", "1", until="is ready")
    words = [*f"enqueue add -A {APP} --wait --timeout 30 -p".split(), '{"a": 1}']
    assert [shop.program(*words).out for _ in range(2)] == ["2\n", "2\n"]
    told = shop.hear(worker, "is ready") + shop.hear(worker, "is ready")
    assert told.count("(after 1 tasks)") == 2
    assert shop.stop(worker).code == 0


def test_an_interrupt_drains_as_well(shop: Shop) -> None:
    worker = shop.start("up", "-A", APP, until="is ready")
    said = shop.stop(worker, signal.SIGINT)
    assert said.code == 0
    assert "(SIGINT)" in said.err


def test_a_worker_speaks_chinese(shop: Shop) -> None:
    worker = shop.start("worker", "-A", APP, "--lang", "zh", until="就绪")
    assert "已停止；交还 0 个任务" in shop.stop(worker).err
