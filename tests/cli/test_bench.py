import pytest

from tests.cli.conftest import Shop
from tidemill.cli.bench.figures import percentile, spread


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert [percentile(hundred, each) for each in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 50) == 7.0
    assert spread([3.0, 1.0, 2.0]) == {"p50_ms": 2.0, "p95_ms": 3.0, "p99_ms": 3.0, "max_ms": 3.0}


@pytest.mark.parametrize(
    "words",
    ["enqueue --tasks 500 --batch 100", "enqueue --tasks 501 --processes 2", "drain --tasks 500"],
)
def test_a_throughput_is_one_json_object_on_standard_output(shop: Shop, words: str) -> None:
    said = shop.program("bench", *words.split(), "--json")
    assert (said.code, said.out.count("\n")) == (0, 1)
    figures = said.json
    assert figures["tasks"] in (500, 501)
    assert figures["tasks_per_s"] == pytest.approx(figures["tasks"] / figures["seconds"], rel=1e-3)
    assert (figures["bench"], figures["engine"], figures["durability"]) == (
        words.split(maxsplit=1)[0],
        "sqlite",
        "standard",
    )


def test_a_latency_is_told_by_its_percentiles(shop: Shop) -> None:
    figures = shop.program("bench", "latency", "--tasks", "20", "--json").json
    assert figures["tasks"] == 20
    assert 0 < figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert 0 <= figures["engine_p50_ms"] <= figures["engine_max_ms"]


def test_a_named_engine_is_left_as_it_was(shop: Shop) -> None:
    said = shop.program("bench", "drain", "--tasks", "700", "--engine", shop.url, "--json")
    assert said.code == 0
    assert shop.call("task", "ls", "-o", "json").json["tasks"] == []


def test_tasks_are_kept_for_who_wants_a_full_engine(shop: Shop) -> None:
    words = ["bench", "enqueue", "--tasks", "300", "--engine", shop.url, "--keep"]
    said = shop.program(*words)
    assert said.code == 0
    assert "tasks per second" in said.out
    assert shop.call("status", "-o", "json").json["totals"]["pending"] == 300


def test_progress_is_plain_lines_without_a_terminal(shop: Shop) -> None:
    said = shop.program("bench", "enqueue", "--tasks", "1000", "--batch", "10", "--json")
    assert said.err.splitlines() == [
        f"enqueueing: {done * 100:,} of 1,000" for done in range(1, 11)
    ]


def test_an_engine_of_one_process_cannot_be_measured(shop: Shop) -> None:
    said = shop.program("bench", "drain", "--engine", "memory://")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: memory:// lives in one process")


def test_more_processes_than_tasks_share_what_there_is(shop: Shop) -> None:
    words = ["bench", "enqueue", "--tasks", "1", "--processes", "2", "--json"]
    figures = shop.program(*words).json
    assert (figures["tasks"], figures["processes"]) == (1, 1)
