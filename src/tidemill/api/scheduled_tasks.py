"""Scheduled tasks: create, read, change, pause, run now, delete."""

from typing import Any, Final

from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope, Tenant
from tidemill.api.auditing import Change
from tidemill.api.bodies import ChangeSchedule, CreateSchedule
from tidemill.api.owning import name_for, owner_for
from tidemill.api.problems import invalid
from tidemill.api.records.audit import difference
from tidemill.api.records.schedules import fire_records, schedule_record, scheduler_record
from tidemill.api.records.tasks import task_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.api.submitting import schedule_options
from tidemill.app.schedules import ScheduleInfo
from tidemill.errors import ScheduleNotFound
from tidemill.interface.problems import FieldProblem
from tidemill.interface.schedules import (
    FireRecord,
    ScheduleRecord,
    SchedulerRecord,
    SchedulesRecord,
)
from tidemill.interface.tasks import TaskRecord
from tidemill.task_type import TaskType

TAG: Final = "scheduled tasks"
DEFINITION: Final = (
    "task_type",
    "is_active",
    "cron_expr",
    "timezone",
    "every",
    "jitter",
    "at",
    "queue_name",
    "priority",
    "max_retries",
    "timeout",
    "tags",
    "user_id",
    "project_id",
    "misfire",
    "misfire_limit",
    "grace",
    "overlap",
    "starts_at",
    "ends_at",
    "expires",
)
"""What of a scheduled task the audit tells, as it was and as it is: all but its payload."""


@route(
    "POST",
    "/scheduled-tasks",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={201: ScheduleRecord},
    problems=(409, 413),
    body_limit=None,
)
async def create_scheduled_task(call: Call[Nothing, CreateSchedule]) -> Answer:
    """Create a scheduled task, which fires from now on."""
    tenant, said = call.access.tenant, schedule_options(call.body)
    said |= _owner(tenant, said.get("user_id"), said.get("project_id"))
    task_type = call.app.function(said.pop("task")).task_type
    _check_for_tenants(tenant, task_type)
    name = name_for(tenant, call.body.name)
    info = await call.app.schedules.create(name, task_type.name, **said)
    location = {"Location": call.address(f"/scheduled-tasks/{name}")}
    change = Change(subject={"name": name})
    return Answer(_record(call, info), 201, str(info.version), location, change=change)


@route(
    "GET",
    "/scheduled-tasks",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: SchedulesRecord},
    headers=("If-None-Match",),
)
async def list_scheduled_tasks(call: Call[Nothing, Nothing]) -> Answer:
    """List the scheduled tasks by name."""
    found = await call.app.schedules.list()
    tenant = call.access.tenant
    return Answer(
        SchedulesRecord(tuple(_record(call, each) for each in found if _owns(tenant, each)))
    )


@route(
    "GET",
    "/scheduler/statistics",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: SchedulerRecord},
    headers=("If-None-Match",),
)
async def get_scheduler_statistics(call: Call[Nothing, Nothing]) -> Answer:
    """Count the scheduled tasks by their condition."""
    return Answer(scheduler_record(await call.app.schedules.statistics()))


@route(
    "GET",
    "/scheduled-tasks/{name}",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: ScheduleRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Read a scheduled task with its last 50 fires."""
    return _answer(call, await _present(call))


@route(
    "GET",
    "/scheduled-tasks/{name}/history",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: tuple[FireRecord, ...]},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_fires(call: Call[Nothing, Nothing]) -> Answer:
    """List what became of the last 50 instants, the newest first."""
    info = await _present(call)
    return Answer(fire_records(info.fires, holders=call.access.tenant.everything))


@route(
    "PUT",
    "/scheduled-tasks/{name}",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: ScheduleRecord},
    problems=(404, 409, 412, 413),
    headers=("If-Match",),
    body_limit=None,
)
async def change_scheduled_task(call: Call[Nothing, ChangeSchedule]) -> Answer:
    """Change what is said of a scheduled task, and leave the rest."""
    before, version = await _meant(call)
    tenant, said = call.access.tenant, schedule_options(call.body)
    for field in ("user_id", "project_id"):
        if field in said and getattr(tenant, field) is not None:
            said |= _owner(tenant, said.get("user_id"), said.get("project_id"))
    if "task" in said:
        _check_for_tenants(tenant, call.app.function(said["task"]).task_type)
    changed = await call.app.schedules.update(before.schedule.name, if_version=version, **said)
    return _answer(call, changed, before)


@route(
    "DELETE",
    "/scheduled-tasks/{name}",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={204: None},
    problems=(404, 412),
    headers=("If-Match",),
)
async def delete_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a scheduled task; the tasks that it submitted stay."""
    before, version = await _meant(call)
    await call.app.schedules.delete(before.schedule.name, if_version=version)
    return Answer()


@route(
    "POST",
    "/scheduled-tasks/{name}/pause",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: ScheduleRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def pause_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Fire no more until it is resumed."""
    before, version = await _meant(call)
    changed = await call.app.schedules.pause(before.schedule.name, if_version=version)
    return _answer(call, changed, before)


@route(
    "POST",
    "/scheduled-tasks/{name}/resume",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: ScheduleRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def resume_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Fire again from now on."""
    before, version = await _meant(call)
    changed = await call.app.schedules.resume(before.schedule.name, if_version=version)
    return _answer(call, changed, before)


@route(
    "POST",
    "/scheduled-tasks/{name}/run",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={201: TaskRecord, 200: TaskRecord},
    problems=(404, 409, 429),
)
async def run_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Submit its task now, out of turn. 200: with overlap `skip`, the task that still runs."""
    info = await _present(call)
    handle = await call.app.schedules.run(info.schedule.name)
    task = await call.task(handle.id)
    location = {"Location": call.address(f"/tasks/{handle.id}")}
    record = task_record(task, payloads=call.payloads)
    if handle.duplicate:
        return Answer(record, 200, headers=location, change=None)
    return Answer(record, headers=location, change=Change(subject={"task_id": handle.id}))


async def _present(call: Call[Any, Any]) -> ScheduleInfo:
    """The scheduled task that the path names; raises `ScheduleNotFound` for one of others too."""
    name = call.named("name")
    info = await call.app.schedules.get(name)
    if not _owns(call.access.tenant, info):
        raise ScheduleNotFound(name)
    return info


async def _meant(call: Call[Any, Any]) -> tuple[ScheduleInfo, int | None]:
    """The scheduled task as it is, and the version that `If-Match` binds its change to."""
    info = await _present(call)
    return info, call.version(info.version)


def _owns(tenant: Tenant, info: ScheduleInfo) -> bool:
    return tenant.owns(info.schedule.task.user_id, info.schedule.task.project_id)


def _owner(tenant: Tenant, user_id: str | None, project_id: str | None) -> dict[str, str]:
    """The user and the project that a tenant's scheduled task must have."""
    made = owner_for(tenant, user_id, project_id)
    named = dict(zip(("user_id", "project_id"), made, strict=True))
    return {field: value for field, value in named.items() if value is not None}


def _check_for_tenants(tenant: Tenant, task_type: TaskType) -> None:
    """Refuse a task type whose unique key a tenant's scheduled tasks would share with others."""
    if task_type.unique is not None and not tenant.everything:
        raise invalid(
            FieldProblem("task_type", f"{task_type.name} has a unique key: submit it yourself")
        )


def _record(call: Call[Any, Any], info: ScheduleInfo) -> ScheduleRecord:
    return schedule_record(info, payloads=call.payloads, holders=call.access.tenant.everything)


def _answer(call: Call[Any, Any], info: ScheduleInfo, before: ScheduleInfo | None = None) -> Answer:
    record = _record(call, info)
    if before is None:
        return Answer(record, version=str(info.version))
    was, now = difference(_record(call, before), record, DEFINITION)
    changed = before.version != info.version
    change = Change(before=was, after=now) if changed else None
    return Answer(record, version=str(info.version), change=change)


HANDLERS: list[HTTPRouteHandler] = [
    create_scheduled_task,
    list_scheduled_tasks,
    get_scheduler_statistics,
    get_scheduled_task,
    get_fires,
    change_scheduled_task,
    delete_scheduled_task,
    pause_scheduled_task,
    resume_scheduled_task,
    run_scheduled_task,
]
