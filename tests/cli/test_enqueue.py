import pytest

from tests.cli.conftest import APP, Shop
from tidemill.engine import TaskQuery
from tidemill.ids import IdMaker
from tidemill.task import State


def test_an_enqueued_task_has_what_was_said(shop: Shop) -> None:
    task_id = IdMaker().make()
    said = shop.program(
        *f"enqueue add -A {APP} --id {task_id} --queue other --priority 9 --delay 60".split(),
        *'--user u1 --project p1 --tag a --tag b -p {"a":5}'.split(),
    )
    assert (said.code, said.out, said.err) == (0, f"{task_id}\n", "")
    record = shop.call("task", "show", task_id, "-o", "json").json
    assert record["state"] == "scheduled"
    assert record["payload"] == {"a": 5}
    assert [record[name] for name in ("queue", "priority", "user_id", "project_id", "tags")] == [
        "other",
        9,
        "u1",
        "p1",
        ["a", "b"],
    ]


def test_the_payload_may_come_from_standard_input(shop: Shop) -> None:
    said = shop.program("enqueue", "add", "-A", APP, "-p", "-", "-o", "json", text='{"a": 2}')
    (task,) = shop.on_engine(
        lambda engine: engine.find(TaskQuery(ids=(said.json["id"],), details=True))
    ).tasks
    assert task.payload is not None
    assert task.payload.endswith(b'{"a":2}')


def test_a_held_unique_key_answers_the_first_task(shop: Shop) -> None:
    words = ["enqueue", "index", "-A", APP, "-p", '{"page": "x"}', "-o", "json"]
    first, second = shop.program(*words), shop.program(*words)
    assert first.json == {"id": first.json["id"], "task_type": "index", "duplicate": False}
    assert second.json == {**first.json, "duplicate": True}


def test_a_refused_payload_leaves_nothing_behind(shop: Shop) -> None:
    assert shop.program("enqueue", "add", "-A", APP, "-p", '{"a": []}').code == 2
    assert shop.call("task", "ls", "-o", "json").json == {"tasks": [], "cursor": None}


def test_waiting_ends_with_the_result_and_its_exit_code(shop: Shop) -> None:
    worker = shop.start("worker", "-A", APP, until="is ready")
    good = shop.program(*f"enqueue add -A {APP} --wait --timeout 30 -p".split(), '{"a": 2, "b": 5}')
    assert (good.code, good.out) == (0, "7\n")
    words = [*f"enqueue boom -A {APP} --wait --timeout 30 -p".split(), '{"text": "two\\nlines"}']
    bad = shop.program(*words)
    assert (bad.code, bad.out) == (1, "")
    assert bad.err.splitlines()[-1].endswith("failed: builtins.ValueError: two lines")
    record = shop.program(*words, "-o", "json")
    assert record.code == 1
    assert record.json["state"] == "failed"
    assert record.json["error"]["message"] == "two\nlines"
    assert shop.stop(worker).code == 0


@pytest.mark.parametrize(("form", "told"), [("table", ""), ("json", "")])
def test_waiting_no_longer_than_the_timeout_leaves_the_task(
    shop: Shop, form: str, told: str
) -> None:
    said = shop.program(
        *f"enqueue add -A {APP} --wait --timeout 0.1 -o {form} -p".split(), '{"a":1}'
    )
    assert (said.code, said.out) == (1, told)
    assert "is not final after 0.1 s" in said.err
    (task,) = shop.on_engine(lambda engine: engine.find(TaskQuery())).tasks
    assert task.state is State.PENDING
