"""Workflows and their steps."""

import msgspec

from tidemill.interface.tasks import TaskRecord
from tidemill.task import State


class WorkflowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it stands: `progress` (0..100) is the share of its steps that are final.

    `counts` are its steps by status. `broken_by` are the steps that failed or were cancelled by
    themselves.
    """

    workflow_id: str
    name: str
    status: State
    total: int
    counts: dict[State, int]
    progress: float
    broken_by: tuple[TaskRecord, ...]


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step: a task, the ids of those that it comes after, and how many stand before it."""

    task: TaskRecord
    after: tuple[str, ...]
    on_failure: str | None
    level: int


class StepsRecord(msgspec.Struct, frozen=True):
    """The steps of a workflow that are still kept, each after those that it comes after."""

    steps: tuple[StepRecord, ...]
