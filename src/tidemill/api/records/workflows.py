"""Workflows and their steps."""

from collections.abc import Iterable, Sequence

from tidemill.api.records.tasks import task_record
from tidemill.app.workflows import WorkflowStatus, levels
from tidemill.interface.tasks import TaskRecord
from tidemill.interface.workflows import StepRecord, StepsRecord, WorkflowRecord
from tidemill.task import Task


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
