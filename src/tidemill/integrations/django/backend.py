"""What Django calls: `TASKS["default"]["BACKEND"]`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django.core import checks
from django.db import connection
from django.utils import timezone
from django.utils.asyncio import async_unsafe

from tidemill.app import Tidemill
from tidemill.errors import TaskNotFound
from tidemill.ids import is_name
from tidemill.integrations.django.names import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from tidemill.integrations.django.options import database_in_the_way, options_of
from tidemill.integrations.django.project import Project, project
from tidemill.integrations.django.results import (
    Arguments,
    changed,
    instant,
    new_result,
    result_of,
    scaled,
)

_NOT_HERE = "it would stop the event loop: await the form of it that begins with an a"


class TidemillBackend(BaseTaskBackend):
    """Django tasks that ordinary workers of Tidemill run.

    `OPTIONS` are those of `Options`. Priorities -100..100 become 0..10 in steps of 20 (0 is 5). A
    task that fails is tried again up to `max_attempts`; until then its status is READY.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._options = options_of(alias, self.options)

    @property
    def project(self) -> Project:
        """What all threads of this process share of this backend."""
        return project(self.alias, self._options)

    @property
    def app(self) -> Tidemill:
        """The application that holds the tasks; raises `ImproperlyConfigured`."""
        return self.project.app

    def validate_task(self, task: Task) -> None:
        """Refuse what Django refuses, and names that no task of Tidemill can have."""
        super().validate_task(task)
        for what, name in (("queue", task.queue_name), ("task", task.module_path)):
            if not is_name(name):
                raise InvalidTask(f"{name!r} cannot name a {what}: 1-200 of A-Z a-z 0-9 _ . : -")

    @async_unsafe(_NOT_HERE)
    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Enqueue durably, or when the transaction that is open commits.

        Until then the result has no `enqueued_at`, and asking for it raises
        `TaskResultDoesNotExist`. Raises `InvalidTask`, `TypeError` for arguments that are no JSON,
        and errors of Tidemill (`EngineUnavailable`, `PayloadTooLarge`).
        """
        self.validate_task(task)
        self.project.declared(task)
        result = new_result(task, self.app.new_id(task.queue_name), self.alias, args, kwargs)
        if self._options.on_commit and connection.in_atomic_block:
            connection.on_commit(partial(self._enqueue, result))
        else:
            self._enqueue(result)
        return result

    def _enqueue(self, result: TaskResult) -> None:
        task: Task = result.task
        run_after = instant(task.run_after)
        said = {"priority": task.priority, "run_after": run_after}
        arguments = {name: value for name, value in said.items() if value}
        self.app.function(task.module_path).options(
            id=result.id,
            queue=task.queue_name,
            priority=scaled(task.priority),
            run_at=run_after,
        ).delay(args=result.args, kwargs=result.kwargs, **arguments)
        changed(result, enqueued_at=timezone.now())
        task_enqueued.send(type(self), task_result=result)

    @async_unsafe(_NOT_HERE)
    def get_result(self, result_id: str) -> TaskResult:
        """Read a task; raises `TaskResultDoesNotExist` also for one that is no Django task."""
        app = self.app
        try:
            record = app.run_blocking(app.handle(result_id).get())
        except TaskNotFound:
            raise TaskResultDoesNotExist(result_id) from None
        task = self.project.task(record.task_type)
        if task is None or record.payload is None:
            raise TaskResultDoesNotExist(result_id)
        given = app.task_types[record.task_type].signature.load(record.payload)
        arguments = Arguments(**given)  # type: ignore[arg-type]  # the parameters of the runner
        return result_of(record, task, arguments, self.alias, app.decode_result(record))

    def check(self, **_: Any) -> Iterable[checks.CheckMessage]:
        """What `manage.py check` says of the settings."""
        for name in sorted(self.queues):
            if not is_name(name):
                yield checks.Error(
                    f"{name!r} cannot name a queue of Tidemill.",
                    hint="Use 1-200 of A-Z a-z 0-9 _ . : -",
                    id="tidemill.E001",
                )
        if (database := database_in_the_way(self._options.url)) is not None:
            yield checks.Error(
                f"Tidemill and the Django database {database!r} share one SQLite file.",
                hint="Two SQLite libraries on one file lose data: give Tidemill its own.",
                id="tidemill.E002",
            )
