"""What commands leave in the audit, and `tidemill audit` itself."""

import getpass
import socket
from collections.abc import Iterator
from typing import Any

from tests.cli.conftest import APP, Shop
from tidemill.cli.auditing import CHANGING, READING, SUBMITTING
from tidemill.cli.texts import Say, texts_of
from tidemill.cli.tree import command_tree
from tidemill.engine import TaskQuery

WHO = f"cli:{getpass.getuser()}@{socket.gethostname()}"


def _commands(command: Any, *path: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if path and (not inner or command.invoke_without_command):
        yield " ".join(path)
    for name, each in inner.items():
        yield from _commands(each, *path, name)


def test_each_command_is_known_to_change_something_or_not() -> None:
    there = list(_commands(command_tree(Say(texts_of("en")))))
    assert sorted(there) == sorted([*CHANGING, *READING, *SUBMITTING])


def test_a_change_leaves_one_entry_with_who_made_it(shop: Shop) -> None:
    assert shop.call("queue", "create", "mail", "--rate", "5/s").code == 0
    assert shop.call("queue", "pause", "mail").code == 0
    entries = shop.call("audit", "-o", "json").json["entries"]
    assert [(each["who"], each["action"], each["status"]) for each in entries] == [
        (WHO, "queue pause", 0),
        (WHO, "queue create", 0),
    ]
    assert entries[0]["subject"] == {"queue": "mail"}
    assert entries[1]["subject"] == {"name": "mail", "rate": "5/s"}
    assert shop.call("audit", "--action", "queue pause", "-o", "jsonl").out.count("\n") == 1
    assert shop.call("audit", "--who", "nobody", "-o", "json").json["entries"] == []
    assert "queue pause" in shop.call("audit").out


def test_what_reads_or_fails_or_only_counts_leaves_none(shop: Shop) -> None:
    shop.call("queue", "create", "mail")
    assert shop.call("queue", "ls").code == 0
    assert shop.call("queue", "purge", "mail", "--dry-run").code == 0
    assert shop.call("queue", "pause", "no.such").code == 3
    assert shop.call("queue", "pause").code == 2
    assert len(shop.call("audit", "-o", "json").json["entries"]) == 1


def test_a_change_of_which_a_part_failed_is_noted_with_its_exit_code(shop: Shop) -> None:
    task_id = shop.program("enqueue", "add", "-A", APP, "-p", '{"a": 1}').out.strip()
    unknown = "00000000-0000-0000-0000-000000000007"
    assert shop.call("task", "cancel", task_id, unknown, "--reason", "why").code == 3
    [entry] = shop.call("audit", "-o", "json").json["entries"]
    assert (entry["action"], entry["status"]) == ("task cancel", 3)
    assert entry["subject"] == {"ids": f"{task_id}, {unknown}"}


def test_an_enqueued_task_carries_who_enqueued_it_and_no_payload_is_noted(shop: Shop) -> None:
    shop.program("enqueue", "boom", "-A", APP, "-p", '{"text": "canary"}')
    schedule = (
        "schedule",
        "add",
        "s",
        "boom",
        "-A",
        APP,
        "--every",
        "1h",
        "-p",
        '{"text": "canary"}',
    )
    assert shop.program(*schedule).code == 0
    told = shop.call("audit", "-o", "json")
    assert [each["action"] for each in told.json["entries"]] == ["schedule add"]
    assert "canary" not in told.out
    [task] = shop.on_engine(lambda engine: engine.find(TaskQuery())).tasks
    assert task.headers["submitted_by"] == WHO


def test_old_entries_are_pruned_and_that_is_noted(shop: Shop) -> None:
    shop.call("queue", "create", "mail")
    assert shop.call("audit", "prune", "--older-than", "30d", "-o", "json").json == {"pruned": 0}
    assert shop.call("audit", "prune", "--older-than", "0s", "-o", "json").json == {"pruned": 2}
    entries = shop.call("audit", "-o", "json").json["entries"]
    assert [each["action"] for each in entries] == ["audit prune"]
