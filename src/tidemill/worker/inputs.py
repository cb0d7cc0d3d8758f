"""What a step of a workflow takes from the steps before it, read when it runs."""

from tidemill.context import Ports, Suspended
from tidemill.errors import Permanent
from tidemill.inputs import INPUTS, filled, places_of
from tidemill.task import Claim, State, Task

BATCH = 1_000
"""Tasks in one call of the engine."""


async def payload_of(claim: Claim, ports: Ports) -> bytes:
    """The payload of a claim that has the header `INPUTS`, with the results that it lacks.

    One that is there no more fails the task for good; a task that is run again and has not ended
    yet is waited for, as a child is.
    """
    places = places_of(claim.headers[INPUTS])
    own = (await ports.tasks((claim.ref.task_id,)))[claim.ref.task_id]
    upstream = own.after.tasks if own.after else ()
    needed = {number: upstream[number] for _, number in places}
    ids = list(needed.values())
    found: dict[str, Task] = {}
    for start in range(0, len(ids), BATCH):
        found |= await ports.tasks(tuple(ids[start : start + BATCH]))
    live = tuple(each for each, task in found.items() if not task.state.final)
    if live:
        raise Suspended(live)
    results = {number: _result(task_id, found) for number, task_id in needed.items()}
    return filled(claim.payload, places, results)


def _result(task_id: str, found: dict[str, Task]) -> bytes | None:
    task = found.get(task_id)
    if task is None:
        raise Permanent(
            f"the result of task {task_id}, which this one takes, is gone: completed tasks were "
            "pruned before their workflow had ended, so keep them longer"
        )
    return task.result if task.state is State.COMPLETED else None
