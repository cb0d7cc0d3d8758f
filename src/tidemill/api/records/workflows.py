"""Workflows and their steps."""

from collections.abc import Iterable, Sequence

import msgspec

from tidemill.api.records.tasks import TaskRecord, task_record
from tidemill.app.workflows import WorkflowStatus, levels
from tidemill.task import State, Task


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


def workflow_record(found: WorkflowStatus) -> WorkflowRecord:
    """A workflow as it stands."""
    return WorkflowRecord(
        workflow_id=found.id,
        name=found.name,
        status=found.state,
        total=found.total,
        counts=found.counts,
        progress=found.percent,
        broken_by=_tasks(found.breakers),
    )


def steps_record(steps: Sequence[Task]) -> StepsRecord:
    """The steps of a workflow."""
    return StepsRecord(
        tuple(
            StepRecord(
                task=record,
                after=step.after.tasks if step.after else (),
                on_failure=step.after.on_failure if step.after else None,
                level=level,
            )
            for record, step, level in zip(_tasks(steps), steps, levels(steps), strict=True)
        )
    )


def _tasks(found: Iterable[Task]) -> tuple[TaskRecord, ...]:
    return tuple(task_record(each, details=False) for each in found)
