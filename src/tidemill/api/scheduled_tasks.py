"""Scheduled tasks: create, read, change, pause, run now, delete."""

from typing import Any, Final

from litestar.handlers import HTTPRouteHandler

from tidemill.api.bodies import ChangeSchedule, CreateSchedule
from tidemill.api.records.schedules import fire_records, schedule_record, scheduler_record
from tidemill.api.records.tasks import task_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.api.submitting import schedule_options
from tidemill.app.schedules import ScheduleInfo
from tidemill.interface.schedules import (
    FireRecord,
    ScheduleRecord,
    SchedulerRecord,
    SchedulesRecord,
)
from tidemill.interface.tasks import TaskRecord

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
    name, version = await _meant(call)
    said = schedule_options(call.body)
    return _answer(await call.app.schedules.update(name, if_version=version, **said))


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
    name, version = await _meant(call)
    await call.app.schedules.delete(name, if_version=version)
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
    name, version = await _meant(call)
    return _answer(await call.app.schedules.pause(name, if_version=version))


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
    name, version = await _meant(call)
    return _answer(await call.app.schedules.resume(name, if_version=version))


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


async def _meant(call: Call[Any, Any]) -> tuple[str, int | None]:
    """The name of the scheduled task, and the version that `If-Match` binds its change to."""
    name = call.named("name")

    async def present() -> int:
        return (await call.app.schedules.get(name)).version

    return name, await call.version(present)


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
