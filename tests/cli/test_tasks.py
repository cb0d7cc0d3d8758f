from datetime import UTC, datetime, timedelta

from tests.cli.conftest import APP, Shop
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import ClaimRequest, Engine, Extension
from tidemill.outcome import Completed, Failed, Settlement
from tidemill.task import LogLine, NewTask, TaskError
from tidemill.testing.builders import BROKE


def _ids(shop: Shop, *words: str) -> list[str]:
    return [task["id"] for task in shop.call("task", "ls", "-o", "json", *words).json["tasks"]]


def _new(shop: Shop, **options: object) -> NewTask:
    return shop.new(**{"payload": DEFAULT_CODEC.encode({"n": 1}), **options})


def test_every_filter_narrows_the_list(shop: Shop) -> None:
    plain, other = (
        _new(shop),
        _new(shop, task_type="other", queue="mail", user_id="u", project_id="p"),
    )
    tagged = _new(shop, tags=("red", "blue"))
    shop.enqueue(plain, other, tagged)
    failed = shop.end(_new(shop, task_type="bad"), outcome=Failed(BROKE))
    assert _ids(shop) == [*failed, tagged.id, other.id, plain.id]
    for words in ("--type other", "--queue mail", "--user u", "--project p"):
        assert _ids(shop, *words.split()) == [other.id]
    assert _ids(shop, "--state", "failed") == failed
    assert _ids(shop, "--error", "IT BROKE") == failed
    assert _ids(shop, "--tag", "red", "--tag", "blue") == [tagged.id]
    assert _ids(shop, "--tag", "red", "--tag", "green") == []
    assert _ids(shop, "--type", "other", "--type", "bad") == [*failed, other.id]


def test_the_list_goes_on_page_by_page(shop: Shop) -> None:
    ids = shop.enqueue(*(_new(shop) for _ in range(5)))[::-1]
    first = shop.call("task", "ls", "--limit", "3", "-o", "json").json
    assert [task["id"] for task in first["tasks"]] == ids[:3]
    rest = shop.call("task", "ls", "--before", first["cursor"], "-o", "json").json
    assert [task["id"] for task in rest["tasks"]] == ids[3:]
    assert rest["cursor"] is None
    assert shop.call("task", "ls", "--limit", "3").err == (
        f"there are more: --before {first['cursor']}\n"
    )


def test_lines_of_json_are_one_task_each(shop: Shop) -> None:
    ids = shop.enqueue(_new(shop), _new(shop))
    lines = shop.call("task", "ls", "-o", "jsonl").out.splitlines()
    assert [f'"id":"{each}"' in line for each, line in zip(ids[::-1], lines, strict=True)] == [
        True,
        True,
    ]


def test_json_has_stable_keys_instants_in_utc_and_durations_in_seconds(shop: Shop) -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
    (task_id,) = shop.enqueue(_new(shop, run_at=at, timeout=timedelta(minutes=1.5)))
    (task,) = shop.call("task", "ls", "-o", "json").json["tasks"]
    details = shop.call("task", "show", task_id, "-o", "json").json
    assert task["run_at"] == "2030-01-02T03:04:05.000600Z"
    assert task["timeout"] == 90.0
    assert details["retention"] == {
        "completed": 604800.0,
        "failed": 2592000.0,
        "cancelled": 604800.0,
    }
    assert details["payload"] == {"n": 1}
    assert set(details) - set(task) == {"payload", "result", "attempts", "logs"}
    assert set(task) == set(NAMES.split())


NAMES = """
    after alone attempt attempt_limit awaiting blocked_on cancel_requested crashes enqueued_at
    error expires_at
    finished_at headers id limit max_attempts parent_id priority progress project_id prune_at
    queue reason retention retried_from run_at soft_timeout started_at state tags task_type timeout
    unique user_id worker
"""


def test_a_table_is_plain_columns_without_a_terminal(shop: Shop) -> None:
    (task_id,) = shop.end(
        _new(shop, queue="mail"), outcome=Failed(TaskError("E", "a\nlong\n" + "story " * 50))
    )
    heading, line = shop.call("task", "ls").out.splitlines()
    assert heading.split() == "ID STATE TYPE QUEUE ATTEMPT PROGRESS ENQUEUED PROBLEM".split()
    assert line.startswith(f"{task_id}  failed  work  mail   1/4")
    assert "E: a long story" in line
    assert "\x1b" not in line


def test_a_task_is_shown_with_its_attempts_result_and_error(shop: Shop) -> None:
    done = shop.end(_new(shop), outcome=Completed(DEFAULT_CODEC.encode([1, "中"])))[0]
    failed = shop.end(_new(shop), outcome=Failed(TaskError("E", "no", "Traceback…\n  here", "f9")))[
        0
    ]
    page = shop.call("task", "show", done).out
    assert "result                1, 中\n" in page
    assert "attempts              1  completed  w1  " in page
    record = shop.call("task", "show", failed, "-o", "json").json
    assert record["error"] == {
        "type": "E",
        "message": "no",
        "traceback": "Traceback…\n  here",
        "fingerprint": "f9",
    }
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["failed"]
    assert "traceback             Traceback…\n                        here\n" in (
        shop.call("task", "show", failed).out
    )


def test_a_payload_that_cannot_be_read_is_shown_raw(shop: Shop) -> None:
    (task_id,) = shop.enqueue(_new(shop, payload=b"\x00\xff"))
    payload = shop.call("task", "show", task_id, "-o", "json").json["payload"]
    assert payload["base64"] == "AP8="


def test_retry_runs_a_failed_task_again_and_refuses_the_others(shop: Shop) -> None:
    (failed,) = shop.end(_new(shop), outcome=Failed(BROKE))
    (pending,) = shop.enqueue(_new(shop))
    said = shop.call("task", "retry", failed, "-o", "json")
    assert (said.code, said.json["tasks"]) == (
        0,
        [{"id": failed, "state": "pending", "problem": None}],
    )
    said = shop.call("task", "retry", pending)
    assert (said.code, said.err) == (1, f"error: cannot retry the task {pending}: it is pending\n")


def test_one_unknown_id_among_others_does_not_hold_them_up(shop: Shop) -> None:
    (pending,) = shop.enqueue(_new(shop))
    unknown = _new(shop).id
    said = shop.call("task", "cancel", unknown, pending, "--reason", "no need", "-o", "json")
    assert said.code == 3
    assert [task["state"] for task in said.json["tasks"]] == [None, "cancelled"]
    assert shop.call("task", "show", pending, "-o", "json").json["reason"] == "no need"


def test_logs_are_printed_line_by_line(shop: Shop) -> None:
    worker = shop.start("worker", "-A", APP, until="is ready")
    task_id = shop.program("enqueue", "talk", "-A", APP).out.strip()
    said = shop.program("task", "logs", "--follow", task_id, "-A", APP)
    assert shop.stop(worker).code == 0
    (line,) = said.out.splitlines()
    assert line.endswith("Z  1  info     hello you")
    record = shop.call("task", "logs", task_id, "-o", "jsonl").json
    assert (record["level"], record["message"], record["attempt"]) == ("info", "hello you", 1)
    assert shop.call("task", "logs", task_id, "-o", "json").json == {"logs": [record]}


def test_following_logs_prints_what_is_still_to_come(shop: Shop) -> None:
    task = _new(shop)
    shop.enqueue(task)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    first, last = LogLine(at, "info", "under way", 1), LogLine(at, "warning", "nearly", 1)

    async def work(engine: Engine) -> str:
        request = ClaimRequest(
            claim_id=task.id,
            worker="w1",
            queues=None,
            task_types=frozenset({task.task_type}),
            limit=1,
        )
        (claim,) = await engine.claim(request)
        await engine.extend([Extension(claim.ref, logs=(first,))], timedelta(minutes=1))
        follower = shop.start("task", "logs", "-f", task.id, "--engine", shop.url)
        assert follower.stdout is not None
        assert follower.stdout.readline() == "2026-01-01T00:00:00Z  1  info     under way\n"
        await engine.settle([Settlement(claim.ref, Completed(), logs=(last,))])
        rest = follower.stdout.read()
        assert follower.wait() == 0
        return rest

    assert shop.on_engine(work) == "2026-01-01T00:00:00Z  1  warning  nearly\n"
