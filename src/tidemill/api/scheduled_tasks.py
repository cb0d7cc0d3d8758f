"""Scheduled tasks: create, read, change, pause, run now, delete."""

from typing import Any, Final

from litestar.handlers import HTTPRouteHandler

from tidemill.api.bodies import ChangeSchedule, CreateSchedule
from tidemill.api.records.schedules import (
    FireRecord,
    ScheduleRecord,
    SchedulerRecord,
    SchedulesRecord,
    fire_records,
    schedule_record,
    scheduler_record,
)
from tidemill.api.records.tasks import TaskRecord, task_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.api.submitting import schedule_options
from tidemill.app.schedules import ScheduleInfo

TAG: Final = "scheduled tasks"


@route(
    "POST",
    "/scheduled-tasks",
    tag=TAG,
    answers={201: ScheduleRecord},
    problems=(409, 413),
    body_limit=None,
)
async def create_scheduled_task(call: Call[Nothing, CreateSchedule]) -> Answer:
    """Create a scheduled task, which fires from now on."""
    said = schedule_options(call.body)
    info = await call.app.schedules.create(call.body.name, said.pop("task"), **said)
    answer = _answer(info)
    location = {"Location": call.address(f"/scheduled-tasks/{call.body.name}")}
    return Answer(answer.value, 201, answer.version, location)


@route(
    "GET", "/scheduled-tasks", tag=TAG, answers={200: SchedulesRecord}, headers=("If-None-Match",)
)
async def list_scheduled_tasks(call: Call[Nothing, Nothing]) -> Answer:
    """List the scheduled tasks by name."""
    found = await call.app.schedules.list()
    return Answer(SchedulesRecord(tuple(schedule_record(each) for each in found)))


@route(
    "GET",
    "/scheduler/statistics",
    tag=TAG,
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
    answers={200: ScheduleRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Read a scheduled task with its last 50 fires."""
    return _answer(await call.app.schedules.get(call.named("name")))


@route(
    "GET",
    "/scheduled-tasks/{name}/history",
    tag=TAG,
    answers={200: tuple[FireRecord, ...]},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_fires(call: Call[Nothing, Nothing]) -> Answer:
    """List what became of the last 50 instants, the newest first."""
    return Answer(fire_records(await call.app.schedules.history(call.named("name"))))


@route(
    "PUT",
    "/scheduled-tasks/{name}",
    tag=TAG,
    answers={200: ScheduleRecord},
    problems=(404, 409, 412, 413),
    headers=("If-Match",),
    body_limit=None,
)
async def change_scheduled_task(call: Call[Nothing, ChangeSchedule]) -> Answer:
    """Change what is said of a scheduled task, and leave the rest."""
    name = await _expected(call)
    return _answer(await call.app.schedules.update(name, **schedule_options(call.body)))


@route(
    "DELETE",
    "/scheduled-tasks/{name}",
    tag=TAG,
    answers={204: None},
    problems=(404, 412),
    headers=("If-Match",),
)
async def delete_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a scheduled task; the tasks that it submitted stay."""
    await call.app.schedules.delete(await _expected(call))
    return Answer()


@route(
    "POST",
    "/scheduled-tasks/{name}/pause",
    tag=TAG,
    answers={200: ScheduleRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def pause_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Fire no more until it is resumed."""
    return _answer(await call.app.schedules.pause(await _expected(call)))


@route(
    "POST",
    "/scheduled-tasks/{name}/resume",
    tag=TAG,
    answers={200: ScheduleRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def resume_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Fire again from now on."""
    return _answer(await call.app.schedules.resume(await _expected(call)))


@route(
    "POST",
    "/scheduled-tasks/{name}/run",
    tag=TAG,
    answers={201: TaskRecord, 200: TaskRecord},
    problems=(404, 409, 429),
)
async def run_scheduled_task(call: Call[Nothing, Nothing]) -> Answer:
    """Submit its task now, out of turn. 200: with overlap `skip`, the task that still runs."""
    handle = await call.app.schedules.run(call.named("name"))
    task = await call.services.read(handle.id)
    location = {"Location": call.address(f"/tasks/{handle.id}")}
    return Answer(task_record(task), 200 if handle.duplicate else 201, headers=location)


async def _expected(call: Call[Any, Any]) -> str:
    """The name of the scheduled task, if it is still the one that `If-Match` names."""
    name = call.named("name")
    if call.header("if-match") is not None:
        call.expect(str((await call.app.schedules.get(name)).version))
    return name


def _answer(info: ScheduleInfo) -> Answer:
    return Answer(schedule_record(info), version=str(info.version))


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
