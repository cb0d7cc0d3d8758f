"""Workflows: read, cancel, retry. They are listed as tasks of the type `tidemill.workflow`."""

from typing import Any, Final

from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope
from tidemill.api.bodies import CancelTask
from tidemill.api.records.workflows import steps_record, workflow_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.app.workflows import WorkflowHandle, workflow_not_found
from tidemill.errors import InvalidTransition
from tidemill.interface.workflows import StepsRecord, WorkflowRecord

TAG: Final = "workflows"


@route(
    "GET",
    "/workflows/{workflow_id}",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
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
    scope=Scope.VIEW,
    tenants=True,
    answers={200: StepsRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def list_steps(call: Call[Nothing, Nothing]) -> Answer:
    """List the steps of a workflow."""
    return Answer(steps_record(await (await _handle(call)).steps()))


@route(
    "POST",
    "/workflows/{workflow_id}/cancel",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={202: WorkflowRecord},
    problems=(404, 409),
)
async def cancel_workflow(call: Call[Nothing, CancelTask]) -> Answer:
    """Cancel all of its steps that wait, and ask those that run to stop."""
    handle = await _handle(call)
    state = (await handle.get()).state
    if state.final:
        raise InvalidTransition(handle.id, state.value, "cancel")
    await handle.cancel(call.body.reason)
    return await _status(call)


@route(
    "POST",
    "/workflows/{workflow_id}/retry",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: WorkflowRecord},
    problems=(404, 409),
)
async def retry_workflow(call: Call[Nothing, Nothing]) -> Answer:
    """Run its failed and cancelled steps again, and those that they broke."""
    await (await _handle(call)).retry()
    return await _status(call)


async def _handle(call: Call[Any, Any]) -> WorkflowHandle[Any]:
    """The workflow that the path names; one of others is not there, as `NotFound` says.

    It is a tenant's when all of its tasks are: whoever may cancel it cancels them all.
    """
    handle = call.app.workflow_handle(call.named("workflow_id"))
    tenant = call.access.tenant
    if not tenant.everything:
        tasks = (await handle.get(), *await handle.steps())
        if not all(tenant.owns(each.user_id, each.project_id) for each in tasks):
            raise workflow_not_found(handle.id)
    return handle


async def _status(call: Call[Any, Any]) -> Answer:
    return Answer(workflow_record(await (await _handle(call)).status()))


HANDLERS: list[HTTPRouteHandler] = [get_workflow, list_steps, cancel_workflow, retry_workflow]
