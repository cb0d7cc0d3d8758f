import time

import pytest

from tests.cli.conftest import APP, Shop
from tidemill.codec import DEFAULT_CODEC
from tidemill.outcome import Completed, Failed
from tidemill.task import TaskError, UniqueKey
from tidemill.testing.builders import BROKE

OTHER = TaskError("KeyError", "gone", "", "f2")


def _fail(shop: Shop) -> tuple[list[str], list[str]]:
    """Two tasks failed for one reason, one for another, and one completed."""
    broke = shop.end(shop.new(), shop.new(task_type="mail"), outcome=Failed(BROKE))
    gone = shop.end(shop.new(), outcome=Failed(OTHER))
    shop.end(shop.new(), outcome=Completed())
    return broke, gone


def test_failed_tasks_are_listed_newest_first(shop: Shop) -> None:
    broke, gone = _fail(shop)
    listed = shop.call("failed", "ls", "-o", "json").json["tasks"]
    assert [task["id"] for task in listed] == [*gone, *broke[::-1]]
    assert "traceback" not in listed[0]["error"]
    only = shop.call("failed", "ls", "--fingerprint", "f2", "-o", "json").json["tasks"]
    assert [task["id"] for task in only] == gone


def test_failed_tasks_are_counted_by_their_error(shop: Shop) -> None:
    broke, gone = _fail(shop)
    record = shop.call("failed", "groups", "-o", "json").json
    first, second = record["groups"]
    assert (first["fingerprint"], first["count"]) == ("f1", 2)
    assert first["examples"] == broke[::-1]
    assert first["task_types"] == ["mail", "work"]
    assert (second["fingerprint"], second["error_type"]) == ("f2", "KeyError")
    assert second["examples"] == gone
    assert (record["looked_at"], record["capped"]) == (3, False)
    said = shop.call("failed", "groups")
    assert said.out.splitlines()[1].split()[:2] == ["2", "f1"]
    assert said.err == ""
    only = shop.call("failed", "groups", "--type", "mail", "-o", "json").json["groups"]
    assert [each["count"] for each in only] == [1]


def test_all_that_match_run_again(shop: Shop) -> None:
    _, gone = _fail(shop)
    said = shop.call("failed", "retry", "--all", "--fingerprint", "f2", "-o", "json")
    assert (said.code, said.json) == (0, {"found": 1, "retried": 1, "refused": {}})
    assert said.err == "retrying: 1 of 1\n"
    assert shop.call("task", "show", gone[0], "-o", "json").json["state"] == "pending"
    assert len(shop.call("failed", "ls", "-o", "json").json["tasks"]) == 2


def test_named_tasks_run_again_only_if_they_failed(shop: Shop) -> None:
    broke, _ = _fail(shop)
    (pending,) = shop.enqueue(shop.new())
    assert shop.call("failed", "retry", broke[0]).code == 0
    said = shop.call("failed", "retry", pending)
    assert (said.code, said.err) == (1, f"error: cannot retry the task {pending}: it is pending\n")


def test_a_rate_spreads_the_retries_over_time(shop: Shop) -> None:
    shop.end(*(shop.new() for _ in range(10)), outcome=Failed(BROKE))
    started = time.monotonic()
    said = shop.call("failed", "retry", "--all", "--rate", "10", "-o", "json")
    assert time.monotonic() - started >= 0.8  # two at a time: four waits of 0.2 s
    assert said.json == {"found": 10, "retried": 10, "refused": {}}
    assert said.err.splitlines()[-1] == "retrying: 10 of 10"
    named = shop.call("failed", "retry", shop.new().id, "--rate", "10")
    assert (named.code, named.err.startswith("error: --rate goes with --all")) == (2, True)


def test_a_task_whose_key_is_taken_is_told_as_refused(shop: Shop) -> None:
    key = UniqueKey("k")
    shop.end(shop.new(unique=key), outcome=Failed(BROKE))
    shop.enqueue(shop.new(unique=key))
    said = shop.call("failed", "retry", "--all", "-o", "json")
    assert said.json == {"found": 1, "retried": 0, "refused": {"key_taken": 1}}
    assert "refused  {" in shop.call("failed", "retry", "--all").out


def _failed_boom(shop: Shop) -> str:
    task = shop.new(task_type="boom", payload=DEFAULT_CODEC.encode({"text": "no"}))
    return shop.end(task, outcome=Failed(BROKE))[0]


def test_an_edited_task_is_a_new_one_that_names_the_old(shop: Shop) -> None:
    old = _failed_boom(shop)
    said = shop.program("failed", "edit", old, "-A", APP, "-p", '{"text": "yes"}')
    assert said.code == 0
    page = shop.call("task", "show", said.out.strip()).out
    assert f"retried from          {old}\n" in page
    assert 'payload               {"text":"yes"}\n' in page
    before = shop.call("task", "show", old, "-o", "json").json
    assert (before["state"], before["payload"]) == ("failed", {"text": "no"})


def test_a_payload_is_edited_in_the_editor(shop: Shop) -> None:
    old = _failed_boom(shop)
    editor = shop.folder / "an editor"
    editor.write_text('#!/bin/sh\nsed -i s/no/yes/ "$1"\n', "utf-8")
    editor.chmod(0o755)
    words = ["failed", "edit", old, "-A", APP]
    said = shop.program(*words, "-o", "json", env={"EDITOR": f"'{editor}'"})
    assert said.code == 0
    new = shop.call("task", "show", said.json["id"], "-o", "json").json
    assert (new["payload"], new["retried_from"]) == ({"text": "yes"}, old)


@pytest.mark.parametrize(
    ("editor", "code", "told"),
    [
        ("true", 1, "nothing was changed"),
        ("false", 2, "the editor false ended with 1; nothing was enqueued"),
        ("no-such-editor", 2, "the editor no-such-editor cannot be started"),
        ("", 2, "which editor? Set EDITOR, or give the arguments with --payload"),
        ("sed -i s/{/[/", 2, "the payload is not JSON"),
        ("sed -i s/text/other/", 2, "the payload of boom is not valid"),
    ],
)
def test_an_edit_that_comes_to_nothing_enqueues_nothing(
    shop: Shop, editor: str, code: int, told: str
) -> None:
    old = _failed_boom(shop)
    env = {"EDITOR": editor, "VISUAL": ""}
    said = shop.program("failed", "edit", old, "-A", APP, env=env)
    assert (said.code, told in said.err) == (code, True)
    assert len(shop.call("task", "ls", "-o", "json").json["tasks"]) == 1


def test_only_a_failed_task_of_a_known_type_is_edited(shop: Shop) -> None:
    (pending,) = shop.enqueue(shop.new(task_type="boom"))
    words = ["-A", APP, "-p", '{"text": "yes"}']
    said = shop.program("failed", "edit", pending, *words)
    assert (said.code, said.err) == (1, f"error: cannot edit the task {pending}: it is pending\n")
    (strange,) = shop.end(shop.new(task_type="strange"), outcome=Failed(BROKE))
    assert shop.program("failed", "edit", strange, *words).code == 3
    assert shop.call("failed", "edit", strange, "-p", "{}").code == 2


def test_dropped_tasks_are_gone(shop: Shop) -> None:
    broke, gone = _fail(shop)
    assert shop.call("failed", "drop", "--all", "--dry-run", "-o", "json").json == {
        "found": 3,
        "dropped": 0,
        "dry_run": True,
    }
    said = shop.program("failed", "drop", "--all", "--engine", shop.url)
    assert said.code == 2
    assert said.err.startswith("3 failed tasks will be removed for good.\nerror: nobody is there")
    assert shop.call("failed", "drop", *gone, "--yes").code == 0
    assert shop.call("task", "show", gone[0]).code == 3
    assert shop.call("failed", "drop", "--all", "--yes", "-o", "json").json["dropped"] == 2
    assert shop.call("task", "show", broke[0]).code == 3
    assert len(shop.call("task", "ls", "-o", "json").json["tasks"]) == 1


def test_a_task_that_did_not_fail_is_not_dropped(shop: Shop) -> None:
    (done,) = shop.end(shop.new(), outcome=Completed())
    said = shop.call("failed", "drop", done, "--yes")
    assert (said.code, said.err) == (1, f"error: cannot drop the task {done}: it is completed\n")
    assert shop.call("task", "show", done).code == 0


def test_naming_both_ids_and_all_is_refused(shop: Shop) -> None:
    said = shop.call("failed", "retry", "--all", shop.new().id)
    assert (said.code, said.err) == (2, "error: name ids, or say --all\n")
