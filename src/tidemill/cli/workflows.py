"""`tidemill workflow …`: whole workflows, their steps, and what stopped them."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.app.workflows import WORKFLOW, Root, levels, share_of, status_of
from tidemill.cli.each import Kind, act_on_each
from tidemill.cli.output import Listing, Record, print_json, show, show_one, took
from tidemill.cli.records import plain, summary
from tidemill.cli.session import Commands, Form, Session
from tidemill.cli.tasks import an_id
from tidemill.cli.texts import Say
from tidemill.cli.times import short
from tidemill.engine import Engine, TaskPage, TaskQuery
from tidemill.task import State, Task

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="option.workflow.ids")]
WORKFLOWS = Kind("workflows", "id")


def ls(
    context: typer.Context,
    state: Annotated[
        list[State] | None, typer.Option("--state", help="option.workflow.state")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="option.task.limit")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="CURSOR", help="option.task.before")
    ] = None,
) -> None:
    """List workflows, newest first."""
    session = Session.of(context)
    query = TaskQuery(
        task_types=frozenset({WORKFLOW}),
        states=frozenset(state or ()),
        limit=limit,
        before=before,
        details=True,
    )

    async def find(_: Tidemill, engine: Engine) -> TaskPage:
        return await engine.find(query)

    page = session.run(find)
    records = [_whole(root, share_of(root)) for root in page.tasks]
    show(session, Listing("workflows", records, _COLUMNS, {"cursor": page.cursor}))
    if page.cursor is not None and session.form is not Form.JSON:
        print(session.say("task.more", cursor=page.cursor), file=sys.stderr)


def _whole(root: Task, percent: float | None) -> dict[str, Any]:
    return {
        "id": root.id,
        "name": Root.of(root).name,
        "state": root.state.value,
        "percent": percent,
        "steps": len(root.after.tasks) if root.after else 0,
        "enqueued_at": plain(root.enqueued_at),
        "finished_at": plain(root.finished_at),
        "problem": _problem(root),
    }


def _problem(task: Task) -> str | None:
    return f"{task.error.type}: {task.error.message}" if task.error else task.reason


def _percent(record: Record) -> str:
    return "" if record["percent"] is None else f"{record['percent']:.0f} %"


def _line(record: Record) -> str:
    return " ".join((record["problem"] or "").split())[:80]


_COLUMNS = {
    "column.id": lambda record: record["id"],
    "column.name": lambda record: record["name"],
    "column.state": lambda record: record["state"],
    "column.progress": _percent,
    "column.steps": lambda record: record["steps"],
    "column.enqueued_at": lambda record: short(record["enqueued_at"]),
    "column.problem": _line,
}


def workflow_show(
    context: typer.Context,
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="option.workflow.id")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="option.workflow.limit")] = 100,
) -> None:
    """Show a workflow and its steps: how far each is, and which one stopped it."""
    session = Session.of(context)
    wanted = an_id(workflow_id, session.say)

    async def look(app: Tidemill, _: Engine) -> tuple[Task, list[Task]]:
        handle = app.workflow_handle(wanted)
        return await handle.get(), await handle.steps()

    root, found = session.run(look)
    status = status_of(root, found)
    steps = _step_records(found)
    record = {
        **_whole(root, status.percent),
        "counts": plain(status.counts),
        "breakers": [task.id for task in status.breakers],
    }
    if session.form is Form.JSON:
        print_json({"workflow": record, "steps": steps}, indent=True)
        return
    if session.form is Form.TABLE:
        show_one(session, record, _lines(session.say, record, steps))
        print()
    show(session, Listing("steps", steps[:limit], _STEP_COLUMNS))
    if len(steps) > limit:
        print(session.say("workflow.more", shown=limit, total=f"{len(steps):,}"), file=sys.stderr)


def _step_records(steps: Sequence[Task]) -> list[dict[str, Any]]:
    """The steps in order, numbered from 1; `after` names those that each comes after by number."""
    numbers = {step.id: number for number, step in enumerate(steps, 1)}
    return [
        {
            "number": numbers[step.id],
            "level": level,
            **summary(step),
            "after": [numbers[each] for each in _upstream(step) if each in numbers],
            "took": _milliseconds(step),
            "problem": _problem(step),
        }
        for step, level in zip(steps, levels(steps), strict=True)
    ]


def _upstream(step: Task) -> tuple[str, ...]:
    return step.after.tasks if step.after else ()


def _milliseconds(step: Task) -> float | None:
    if step.started_at is None or step.finished_at is None:
        return None
    return (step.finished_at - step.started_at) / timedelta(milliseconds=1)


def _lines(say: Say, record: Record, steps: Sequence[Record]) -> dict[str, object]:
    counts = record["counts"].items()
    broke = [step for step in steps if step["id"] in record["breakers"]]
    return {
        "field.id": record["id"],
        "field.name": record["name"],
        "field.state": record["state"],
        "field.progress": _percent(record),
        "field.steps": ", ".join(f"{say(f'state.{name}')} {count:,}" for name, count in counts),
        "field.enqueued_at": record["enqueued_at"],
        "field.finished_at": record["finished_at"],
        "field.breakers": "\n".join(
            f"{step['number']}  {step['task_type']}  {_line(step)}" for step in broke[:10]
        ),
    }


_STEP_COLUMNS = {
    "column.step": lambda record: record["number"],
    "column.level": lambda record: record["level"],
    "column.type": lambda record: "  " * min(record["level"], 8) + record["task_type"],
    "column.state": lambda record: record["state"],
    "column.took": lambda record: took(record["took"]),
    "column.after": lambda record: runs(record["after"]),
    "column.id": lambda record: record["id"],
    "column.problem": _line,
}


def runs(numbers: Sequence[int]) -> str:
    """Numbers with those that follow each other written as one.

    >>> runs([3, 1, 2, 7])
    '1-3, 7'
    """
    ordered = sorted(numbers)
    ends = [last for last, following in pairwise([*ordered, 0]) if following != last + 1]
    starts = [first for before, first in pairwise([-1, *ordered]) if first != before + 1]
    return ", ".join(
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    )


def cancel(
    context: typer.Context,
    ids: Ids,
    reason: Annotated[str, typer.Option("--reason", help="option.task.reason")] = "",
) -> None:
    """Cancel whole workflows: what waits is cancelled, what runs is asked to stop."""
    session = Session.of(context)

    async def cancel_one(app: Tidemill, workflow_id: str) -> str:
        return await app.workflow_handle(workflow_id).cancel(reason)

    act_on_each(session, WORKFLOWS, [an_id(each, session.say) for each in ids], cancel_one)


def retry(context: typer.Context, ids: Ids) -> None:
    """Run the failed and cancelled steps of workflows again, and what comes after them."""
    session = Session.of(context)

    async def retry_one(app: Tidemill, workflow_id: str) -> str:
        handle = app.workflow_handle(workflow_id)
        await handle.retry()
        return (await handle.get()).state

    act_on_each(session, WORKFLOWS, [an_id(each, session.say) for each in ids], retry_one)


COMMANDS: Commands = {"ls": ls, "show": workflow_show, "cancel": cancel, "retry": retry}
