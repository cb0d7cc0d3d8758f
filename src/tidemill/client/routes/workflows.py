"""Workflows."""

from tidemill.client.asking import Ask, Route, path
from tidemill.client.routes.forms import API, post, read
from tidemill.interface.workflows import StepsRecord, WorkflowRecord


@Route
def get_workflow(workflow_id: str) -> Ask[WorkflowRecord]:
    """A workflow and how far it is."""
    return read(path(f"{API}/workflows/{{}}", workflow_id), WorkflowRecord)


@Route
def list_steps(workflow_id: str) -> Ask[StepsRecord]:
    """The tasks of a workflow, in order."""
    return read(path(f"{API}/workflows/{{}}/steps", workflow_id), StepsRecord)


@Route
def cancel_workflow(workflow_id: str, reason: str = "") -> Ask[WorkflowRecord]:
    """Cancel what waits of a workflow, and ask what runs to stop."""
    at = path(f"{API}/workflows/{{}}/cancel", workflow_id)
    return post(at, WorkflowRecord, {"reason": reason})


@Route
def retry_workflow(workflow_id: str) -> Ask[WorkflowRecord]:
    """Run a broken workflow again from what failed."""
    return post(path(f"{API}/workflows/{{}}/retry", workflow_id), WorkflowRecord)
