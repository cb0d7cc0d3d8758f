"""Values for tests: tasks that differ from a plain one only in what a test is about."""

from typing import Any

from tidemill.ids import IdMaker
from tidemill.task import NewTask, TaskError

PLAIN_TYPE = "work"
"""The task type of tasks that `new_task` makes."""

BROKE = TaskError("builtins.ValueError", "it broke", "Traceback …", "f1")
"""An error of an attempt, for tests that do not care which."""


def new_task(task_id: str | None = None, **options: Any) -> NewTask:
    """A task of type `work` with an empty payload and a fresh id; `options` are `NewTask` fields.

    >>> new_task(priority=9).priority
    9
    """
    plain = {"task_type": PLAIN_TYPE, "payload": b"{}"}
    return NewTask(id=task_id or IdMaker().make(), **(plain | options))


def numbered_id(number: int) -> str:
    """A fixed id: the same for the same number, and higher numbers sort later.

    >>> numbered_id(255)
    '00000000-0000-7000-8000-0000000000ff'
    """
    return f"00000000-0000-7000-8000-{number:012x}"
