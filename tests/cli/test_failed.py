from tests.cli.conftest import Shop
from tidemill.outcome import Completed, Failed
from tidemill.task import TaskError
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
    first, second = shop.call("failed", "ls", "--group", "-o", "json").json["groups"]
    assert (first["fingerprint"], first["count"], first["newest_id"]) == ("f1", 2, broke[-1])
    assert first["task_types"] == ["mail", "work"]
    assert (second["fingerprint"], second["error_type"], second["newest_id"]) == (
        "f2",
        "KeyError",
        gone[0],
    )
    assert shop.call("failed", "ls", "--group").out.splitlines()[1].split()[:2] == ["2", "f1"]


def test_all_that_match_run_again(shop: Shop) -> None:
    _, gone = _fail(shop)
    said = shop.call("failed", "retry", "--all", "--fingerprint", "f2", "-o", "json")
    assert (said.code, said.json) == (0, {"found": 1, "retried": 1})
    assert said.err == "retrying: 1 of 1\n"
    assert shop.call("task", "show", gone[0], "-o", "json").json["state"] == "pending"
    assert len(shop.call("failed", "ls", "-o", "json").json["tasks"]) == 2


def test_named_tasks_run_again_only_if_they_failed(shop: Shop) -> None:
    broke, _ = _fail(shop)
    (pending,) = shop.enqueue(shop.new())
    assert shop.call("failed", "retry", broke[0]).code == 0
    said = shop.call("failed", "retry", pending)
    assert (said.code, said.err) == (1, f"error: cannot retry the task {pending}: it is pending\n")


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
