"""Judges workflows: pure functions over what came after what, the feed and the records.

Entries of different queues have no order in the feed, so that order is that of their instants.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from tidemill import State, Task, Transition
from tidemill.task import NewTask

BROKEN = frozenset({State.FAILED, State.CANCELLED})


def ended_at(feed: Iterable[Transition]) -> dict[str, datetime]:
    """When each task became final."""
    return {entry.task_id: entry.at for entry in feed if entry.state.final}


def early(made: Iterable[NewTask], feed: Sequence[Transition]) -> list[str]:
    """Tasks that went on before all that they come after were final."""
    ended = ended_at(feed)
    waits = {task.id: task.after.tasks for task in made if task.after is not None}
    # Many tasks may come after the same ten thousand: the last end of each is looked for once.
    last = {
        each: max((ended[up] for up in each if up in ended), default=None)
        for each in set(waits.values())
    }
    missing = {each: [up for up in each if up not in ended] for each in last}
    wrong = []
    for entry in feed:
        upstream = waits.get(entry.task_id)
        if upstream is None or entry.state in {State.BLOCKED, State.CANCELLED, State.FAILED}:
            continue
        latest = last[upstream]
        if missing[upstream]:
            wrong.append(f"{entry.task_id}: {entry.cause} before {missing[upstream][0]} had ended")
        elif latest is not None and entry.at < latest:
            gap = (latest - entry.at).total_seconds()
            wrong.append(f"{entry.task_id}: {entry.cause} {gap:.3f} s before the last one ended")
    return wrong


def twice(made: Iterable[NewTask], feed: Sequence[Transition]) -> list[str]:
    """Tasks that waited and did not go on exactly once, that went on twice, or did not end once."""
    went: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    for entry in feed:
        went[entry.task_id] += entry.cause in {"upstream_final", "upstream_broken", "joined"}
        ended[entry.task_id] += entry.state.final
    waited = {e.task_id for e in feed if e.cause == "enqueued" and e.state is State.BLOCKED}
    after = [task.id for task in made if task.after is not None]
    wrong = [f"{each}: went on {went[each]} times" for each in after if went[each] > 1]
    wrong += [f"{each}: never went on" for each in after if each in waited and not went[each]]
    return wrong + [f"{each}: ended {ended[each]} times" for each in after if ended[each] != 1]


def misjudged(
    made: Iterable[NewTask], tasks: Mapping[str, Task], failing: frozenset[str]
) -> Iterator[str]:
    """Tasks that did not end as those they come after ended, by the policy of each.

    Each is compared with what its own upstream tasks became, so that the first mistake is named.
    `failing` are those that fail if they run.
    """
    for task in made:
        found = tasks.get(task.id)
        if found is None:
            yield f"{task.id}: lost"
            continue
        allowed = _allowed(task, tasks, failing)
        if found.state not in allowed:
            yield f"{task.id}: {found.state}, not {' or '.join(sorted(allowed))}"
        ran = found.attempt > 0
        if ran != _runs(task, tasks):
            yield f"{task.id}: {'ran' if ran else 'did not run'}, {found.state}"
        if _skipped(task, tasks) != (found.reason == "skipped"):
            yield f"{task.id}: {found.state} with the reason {found.reason!r}"


def _broken_by(task: NewTask, tasks: Mapping[str, Task]) -> frozenset[State]:
    upstream = task.after.tasks if task.after else ()
    return frozenset(tasks[each].state for each in upstream) & BROKEN


def _goes_on(task: NewTask, tasks: Mapping[str, Task]) -> bool:
    return not _broken_by(task, tasks) or (
        task.after is not None and task.after.on_failure == "continue"
    )


def _runs(task: NewTask, tasks: Mapping[str, Task]) -> bool:
    return _goes_on(task, tasks) and not (task.after is not None and task.after.joins)


def _skipped(task: NewTask, tasks: Mapping[str, Task]) -> bool:
    skips = task.after is not None and task.after.on_failure == "skip"
    return skips and bool(_broken_by(task, tasks))


def _allowed(task: NewTask, tasks: Mapping[str, Task], failing: frozenset[str]) -> frozenset[State]:
    """How a task may end; with `fail`, as whichever upstream task that broke it ended first."""
    if _goes_on(task, tasks):
        return frozenset({State.FAILED if task.id in failing else State.COMPLETED})
    return frozenset({State.CANCELLED}) if _skipped(task, tasks) else _broken_by(task, tasks)
