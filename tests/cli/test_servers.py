"""The command line on Redis and Valkey servers: on one, and on a cluster."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import APP, PASSWORD, Said, Shop
from tests.cli.test_output import on_a_terminal
from tests.servers.guarded import guarded
from tests.servers.server import Server, prepared, server
from tidemill.outcome import Completed, Failed
from tidemill.testing.builders import BROKE


def _findings(said: Said) -> dict[str, str]:
    return {each["about"]: each["text"] for each in said.json["findings"]}


@contextlib.contextmanager
def _working(shop: Shop, *words: str) -> Iterator[None]:
    worker = shop.start("worker", "-A", APP, *words, until="is ready")
    yield
    assert shop.stop(worker).code == 0


def test_doctor_tells_what_the_servers_are_and_promise(served: Shop) -> None:
    said = served.call("doctor", "-o", "json")
    told = _findings(said)
    spread = "cluster" in served.url
    assert said.code == 0
    assert {each["level"] for each in said.json["findings"]} == {"ok"}
    assert told["engine"].startswith(f"valkey ({served.url.partition('://')[0]}://:***@127.0.0.1:")
    assert told["version"].startswith("valkey ")
    assert told["servers"] == ("every primary of a cluster" if spread else "one server")
    assert told["durability"].startswith("standard: accepted tasks survive a crash of the server")
    assert told["order"].startswith("tasks of a queue run by priority, then in the order")
    assert ("for each queue" in told["atomic"]) is spread
    assert (told["format"], told["index"]) == ("format 1", "up to date")


def test_doctor_tells_how_far_the_search_index_is_behind(served: Shop) -> None:
    served.enqueue(*(served.new(queue=queue) for queue in ("a", "b", "c")))
    told = _findings(served.call("doctor", "-o", "json"))
    assert told["index"] == "3 changes of tasks are not in it yet"
    assert len(served.call("task", "ls", "-o", "json").json["tasks"]) == 3
    assert _findings(served.call("doctor", "-o", "json"))["index"] == "up to date"


def test_doctor_warns_of_a_server_that_keeps_nothing(shop: Shop, tmp_path: Path) -> None:
    with server(tmp_path / "server") as made:
        said = shop.call("doctor", "--engine", made.url)
        assert said.code == 0
        assert "durability    ok       fast: a restart of the server" in said.out
        assert "warning       warning  127.0.0.1:" in said.out
        chinese = shop.call("doctor", "--lang", "zh", "--engine", made.url).out
        assert "持久性    正常  快速：服务器重启或断电可能丢失已接收的任务" in chinese
        assert "服务器    正常  单台服务器" in chinese


def test_doctor_follows_the_sentinels_and_refuses_the_replica(shop: Shop, tmp_path: Path) -> None:
    with guarded(tmp_path / "guarded") as watched:
        told = _findings(shop.call("doctor", "-o", "json", "--engine", watched.url))
        assert told["servers"] == "the primary that the sentinels name"
        said = shop.call("doctor", "--engine", watched.replica.url)
        assert said.code == 4
        assert "is a replica, which takes no writes" in said.out


@pytest.mark.parametrize(
    ("query", "change", "reason"),
    [
        ("", ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), "maxmemory-policy allkeys-lru"),
        ("?durability=strict", (), "demands durability=strict and its servers give standard"),
        ("?prefix=later", ("HSET", "later:meta", "format", "9"), "schema version 9"),
        ("?prefix=older", ("HSET", "older:meta", "format", "0"), "are of format 0"),
        ("?prefix=other", ("SET", "other:ledger", "x"), "Give Tidemill a prefix"),
    ],
)
def test_doctor_refuses_a_server_with_the_reason(
    shop: Shop, single: Server, query: str, change: tuple[str, ...], reason: str
) -> None:
    if change:
        single.command(*change)
    try:
        said = shop.call("doctor", "--engine", single.url + query)
    finally:
        single.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    failures = [line for line in said.out.splitlines() if "failure" in line]
    assert said.code == 4
    assert len(failures) == 1
    assert reason in failures[0]


def test_a_server_that_is_not_there_is_a_failure_with_the_reason(shop: Shop) -> None:
    for words in (["doctor"], ["status"], ["reindex"], ["bench", "enqueue"]):
        said = shop.program(*words, "--engine", "redis://127.0.0.1:1/0")
        assert said.code == 4
        assert "redis://127.0.0.1:1/0 cannot be reached" in said.out + said.err


def test_a_worker_waits_for_a_server_that_starts_later(shop: Shop, tmp_path: Path) -> None:
    with prepared(tmp_path / "server") as late:
        words = ["-A", APP, "--engine", late.url]
        worker = shop.start("worker", *words, until="the engine does not answer")
        late.start()
        said = shop.program("enqueue", "add", *words, "-p", '{"a": 1}', "--wait")
        assert (said.code, said.out) == (0, "2\n")
        assert shop.stop(worker).code == 0


def test_schedules_are_made_fired_and_looked_at(served: Shop) -> None:
    words = ["-A", APP, "--every", "1s", "-p", '{"a": 1}']
    assert served.program("schedule", "add", "tick", "add", *words).code == 0
    with _working(served):
        said = served.until(
            ["schedule", "history", "tick", "-o", "json"], lambda said: len(said.json["fires"]) > 1
        )
    assert {each["outcome"] for each in said.json["fires"]} == {"fired"}
    (record,) = served.call("schedule", "ls", "-o", "json").json["schedules"]
    assert record["run_count"] > 1
    assert served.call("schedule", "pause", "tick").code == 0
    assert served.call("schedule", "run", "tick").code == 0
    assert served.call("schedule", "status", "-o", "json").json["paused"] == 1
    assert served.call("schedule", "rm", "tick", "--yes").code == 0
    assert served.call("schedule", "ls", "-o", "json").json == {"schedules": []}


def test_what_ended_is_counted_pruned_and_backed_up(served: Shop) -> None:
    served.end(*(served.new(queue="mail") for _ in range(3)), outcome=Completed())
    served.end(served.new(queue="slow"), outcome=Failed(BROKE))
    served.enqueue(served.new(queue="mail"))
    found = served.call("stats", "--by", "queue", "-o", "json").json
    assert [(each["queue"], each["total"]) for each in found["groups"]] == [
        ("mail", 3),
        ("slow", 1),
    ]
    mail, slow = served.call("queue", "stats", "-o", "json").json["queues"]
    assert (mail["waiting"]["pending"], mail["throughput"] > slow["throughput"] > 0) == (1, True)
    assert served.call("backup", "b.gz", "-o", "json").json["tasks"] == 5
    pruned = served.call("prune", "--older-than", "0s", "--yes", "-o", "json").json
    assert pruned == {"found": 4, "pruned": 4, "dry_run": False}
    assert served.call("stats", "-o", "json").json["total"] == 4
    restored = served.call("restore", "b.gz", "--into-used", "-o", "json").json
    assert (restored["restored"], restored["known"]) == (4, 1)
    assert served.call("failed", "groups", "-o", "json").json["groups"][0]["count"] == 1
    assert served.call("failed", "retry", "--all", "-o", "json").json["retried"] == 1


def test_a_scheduler_waits_for_a_server_that_starts_later(shop: Shop, tmp_path: Path) -> None:
    with prepared(tmp_path / "server") as late:
        words = ["-A", APP, "--engine", late.url]
        scheduler = shop.start("scheduler", *words, until="the engine does not answer")
        late.start()
        shop.hear(scheduler, "the engine answers again")
        assert shop.stop(scheduler).code == 0


def test_tasks_run_and_are_looked_at_and_acted_on(served: Shop) -> None:
    wait = ["--wait", "--timeout", "30"]
    with _working(served, "--processes", "2"):
        sums = served.program("enqueue", "add", "-A", APP, "-p", '{"a": 2}', *wait)
        assert (sums.code, sums.out) == (0, "3\n")
        family = served.program("enqueue", "family", "-A", APP, "-p", '{"members": 3}', *wait)
        assert (family.code, family.out) == (0, "6\n")
        failed = served.program("enqueue", "boom", "-A", APP, "-p", '{"text": "oh"}', *wait)
        assert failed.code == 1
        assert served.program("enqueue", "talk", "-A", APP, *wait).code == 0
        (talk,) = served.call("task", "ls", "--type", "talk", "-o", "json").json["tasks"]
        assert "hello you" in served.call("task", "logs", talk["id"]).out
        (boom,) = served.call("failed", "ls", "-o", "json").json["tasks"]
        assert served.call("task", "show", boom["id"], "-o", "json").json["state"] == "failed"
        assert served.call("failed", "groups", "-o", "json").json["groups"][0]["count"] == 1
        assert served.call("failed", "retry", "--all", "-o", "json").json["retried"] == 1
    assert served.call("failed", "drop", "--all", "--yes", "-o", "json").code == 0


def test_queues_are_paused_and_emptied(served: Shop) -> None:
    first, later = served.enqueue(served.new(queue="sums"), served.new(queue="sums"))
    assert served.call("queue", "pause", "sums").code == 0
    assert served.call("task", "cancel", first, "--reason", "no").code == 0
    assert served.call("task", "retry", first).code == 0
    purged = served.call("queue", "purge", "sums", "--yes", "-o", "json").json
    assert (purged["waiting"], purged["cancelled"]) == (2, 2)
    assert served.call("queue", "resume", "sums").code == 0
    totals = served.call("status", "-o", "json").json["totals"]
    assert totals["cancelled"] == 2
    assert served.call("task", "show", later, "-o", "json").json["reason"] == "purged"
    (queue,) = served.call("queue", "ls", "-o", "json").json["queues"]
    assert (queue["name"], queue["paused"]) == ("sums", False)


def test_one_process_serves_everything_until_it_is_told_to_stop(served: Shop) -> None:
    up = served.start("up", "-A", APP, until="is ready")
    said = served.program("enqueue", "add", "-A", APP, "-p", '{"a": 1}', "--wait")
    assert said.out == "2\n"
    ended = served.stop(up, signal.SIGINT)
    assert ended.code == 0
    assert "durability standard: accepted tasks survive a crash of the server" in ended.err


@pytest.mark.parametrize(
    "words", ["enqueue --tasks 300 --processes 2", "drain --tasks 300", "latency --tasks 10"]
)
def test_a_server_is_measured_and_left_as_it_was(served: Shop, words: str) -> None:
    (kept,) = served.enqueue(served.new())
    figures = served.program("bench", *words.split(), "--json")
    assert (figures.code, figures.json["engine"]) == (0, "valkey")
    left = served.call("task", "ls", "-o", "json").json["tasks"]
    assert [task["id"] for task in left] == [kept]


# The search index


def test_the_index_is_made_again(served: Shop, request: pytest.FixtureRequest) -> None:
    ids = served.enqueue(*(served.new(queue=queue) for queue in ("a", "b", "b")))
    assert len(served.call("task", "ls", "-o", "json").json["tasks"]) == 3
    spread = "cluster" in served.url
    for each in (
        request.getfixturevalue("spread") if spread else [request.getfixturevalue("single")]
    ):
        for key in each.command("KEYS", "*index:*"):
            each.command("DEL", key)
    assert served.call("task", "ls", "-o", "json").json["tasks"] == []
    said = served.call("reindex")
    assert (said.code, said.out) == (0, "engine   valkey\nindexed  3\n")
    assert said.err.endswith("indexing: 3 of 3\n")
    found = served.call("task", "ls", "-o", "json").json["tasks"]
    assert [task["id"] for task in found] == ids[::-1]
    assert served.call("reindex", "-o", "json").json == {"engine": "valkey", "indexed": 3}


def test_a_terminal_gets_a_bar_while_the_index_is_made(shop: Shop, single: Server) -> None:
    single.command("FLUSHALL")
    written = on_a_terminal("reindex", "--engine", single.url)
    assert "indexing" in written
    assert "━" in written


def test_an_engine_without_an_index_says_so(shop: Shop) -> None:
    said = shop.call("reindex")
    assert said.code == 0
    assert "the engine sqlite searches its tasks themselves and needs no index" in said.out
    assert shop.call("reindex", "-o", "json").json == {"engine": "sqlite", "indexed": None}


# Passwords


def test_no_command_shows_the_password_that_lets_it_in(served: Shop) -> None:
    ids = served.enqueue(served.new(), served.new(task_type="add"))
    commands = [
        ["doctor", "-A", APP],
        ["doctor", "-o", "json", "--lang", "zh"],
        ["migrate"],
        ["migrate", "-o", "json"],
        ["reindex"],
        ["status", "-A", APP],
        ["status", "-o", "json"],
        ["task", "ls"],
        ["task", "show", ids[0], "-o", "json"],
        ["queue", "ls", "-o", "json"],
        ["failed", "ls"],
        ["schedule", "ls", "-A", APP],
        ["backup", "b.gz"],
        ["restore", "b.gz"],
        ["bench", "enqueue", "--tasks", "10"],
        ["task", "show", "7", "--debug"],
        ["task", "show", "01a200d6-322c-779d-b9ac-e8720a78c99c", "--debug"],
    ]
    for words in commands:
        said = served.program(*words, "--engine", served.url)
        assert PASSWORD not in said.out + said.err, words
    worker = served.start("worker", "-A", APP, "-o", "jsonl", until="WorkerStarted")
    ended = served.stop(worker)
    assert "***" in ended.err
    assert PASSWORD not in ended.out + ended.err


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@127.0.0.1:1/zero",
        "redis://:hun/ter2@127.0.0.1:1/0",
        "redis://:hunter2@127.0.0.1:1?password=hunter2&prefix=x",
        "redis+cluster://:hunter2@127.0.0.1:1/5",
        "redis+sentinel://:hunter2@127.0.0.1:1",
        "redix://me:hunter2@127.0.0.1:1/0",
        "redis:/me:hunter2@127.0.0.1",
        "redis:me:hunter2@127.0.0.1",
    ],
)
@pytest.mark.parametrize("words", ["status --debug", "doctor", "worker -A shop:app --debug"])
def test_no_mistake_in_a_url_shows_its_password(shop: Shop, url: str, words: str) -> None:
    said = shop.here(*words.split(), "--engine", url)
    assert said.code in (2, 4)
    assert "ter2" not in said.out + said.err


@pytest.mark.parametrize("words", [["status"], ["task", "ls", "--engien"]])
def test_a_url_in_the_wrong_place_does_not_show_its_password(shop: Shop, words: list[str]) -> None:
    said = shop.program(*words, "redis://me:hunter2@127.0.0.1:1/0", "--debug")
    assert said.code == 2
    assert "hunter2" not in said.out + said.err


def test_a_server_that_is_not_there_does_not_make_the_password_known(shop: Shop) -> None:
    url = "redis://me:hunter2@127.0.0.1:1/0"
    for words in ("status --debug", "doctor", "doctor --lang zh"):
        said = shop.program(*words.split(), "--engine", url)
        assert said.code == 4
        assert "hunter2" not in said.out + said.err
    worker = shop.start("worker", "-A", APP, "--engine", url)
    heard = shop.hear(worker, "the engine does not answer")
    assert "redis://me:***@127.0.0.1:1/0" in heard
    assert "hunter2" not in heard + shop.stop(worker).err


def test_a_wrong_password_is_not_shown(shop: Shop, single: Server) -> None:
    said = shop.program("doctor", "--engine", f"redis://:hunter2@127.0.0.1:{single.port}/0")
    assert said.code == 4
    assert "does not accept our user or password" in said.out
    assert "a password alone is written redis://:password@…" in said.out
    assert "hunter2" not in said.out + said.err
    assert PASSWORD not in said.out + said.err


def test_the_password_may_be_in_a_file_or_in_the_environment(shop: Shop, single: Server) -> None:
    (shop.folder / "secret").write_text(f"{PASSWORD}\n", "utf-8")
    place = f"redis://127.0.0.1:{single.port}/0"
    for query in ("password_file=secret", "password_env=TASKS_PASSWORD"):
        env = {"TASKS_PASSWORD": PASSWORD, "TIDEMILL_URL": f"{place}?{query}"}
        said = shop.program("doctor", env=env)
        assert said.code == 0
        assert PASSWORD not in said.out
