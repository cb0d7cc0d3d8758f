"""Workflows: read, cancel, retry. They are listed as tasks of the type `tidemill.workflow`."""

from typing import Final

from litestar.handlers import HTTPRouteHandler

from tidemill.api.bodies import CancelTask
from tidemill.api.records.workflows import steps_record, workflow_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.errors import InvalidTransition
from tidemill.interface.workflows import StepsRecord, WorkflowRecord

TAG: Final = "workflows"


@route(
    "GET",
    "/workflows/{workflow_id}",
    tag=TAG,
    answers={200: WorkflowRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_workflow(call: Call[Nothing, Nothing]) -> Answer:
    """Read how far a workflow is, and what broke it."""
    return await _status(call)


@route(
    "GET",
    "/workflows/{workflow_id}/steps",
    tag=TAG,
    answers={200: StepsRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def list_steps(call: Call[Nothing, Nothing]) -> Answer:
    """List the steps of a workflow."""
    handle = call.app.workflow_handle(call.named("workflow_id"))
    return Answer(steps_record(await handle.steps()))


@route(
    "POST",
    "/workflows/{workflow_id}/cancel",
    tag=TAG,
    answers={202: WorkflowRecord},
    problems=(404, 409),
)
async def cancel_workflow(call: Call[Nothing, CancelTask]) -> Answer:
    """Cancel all of its steps that wait, and ask those that run to stop."""
    handle = call.app.workflow_handle(call.named("workflow_id"))
    state = (await handle.get()).state
    if state.final:
        raise InvalidTransition(handle.id, state.value, "cancel")
    await handle.cancel(call.body.reason)
    return await _status(call)


@route(
    "POST",
    "/workflows/{workflow_id}/retry",
    tag=TAG,
    answers={200: WorkflowRecord},
    problems=(404, 409),
)
async def retry_workflow(call: Call[Nothing, Nothing]) -> Answer:
    """Run its failed and cancelled steps again, and those that they broke."""
    await call.app.workflow_handle(call.named("workflow_id")).retry()
    return await _status(call)


async def _status(call: Call[Nothing, Nothing] | Call[Nothing, CancelTask]) -> Answer:
    handle = call.app.workflow_handle(call.named("workflow_id"))
    return Answer(workflow_record(await handle.status()))


HANDLERS: list[HTTPRouteHandler] = [get_workflow, list_steps, cancel_workflow, retry_workflow]
