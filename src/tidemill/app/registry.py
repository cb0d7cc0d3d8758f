"""What an application's code declares: task types, queues, schedules, resources."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill.app.function import as_duration, as_names, as_unique
from tidemill.app.routes import Routes
from tidemill.codec import Codec
from tidemill.context import Resource
from tidemill.engine import QueueDefinition
from tidemill.errors import DeclarationError, UnknownTaskType
from tidemill.queue import QueueOptions, declaration
from tidemill.settings import Settings
from tidemill.task import Retention
from tidemill.task_type import TaskType, declare

if TYPE_CHECKING:
    from tidemill.schedule import Schedule

R = TypeVar("R")


class Registry:
    """Declarations by name, each checked when it is added; one that is refused leaves no trace."""

    def __init__(self, settings: Settings, routes: Mapping[str, str]) -> None:
        self.task_types: dict[str, TaskType] = {}
        self.queues: dict[str, QueueDefinition] = {}
        self.schedules: dict[str, Schedule] = {}
        self.resources: tuple[Resource[Any], ...] = ()
        self._settings = settings
        self._routes = Routes.of(routes)
        self._queue_of: dict[str, str] = {}

    def task_type(self, name: str) -> TaskType:
        """A task type by name; raises `UnknownTaskType`."""
        if name not in self.task_types:
            raise UnknownTaskType(name, self.task_types)
        return self.task_types[name]

    def queue_of(self, task_type: str) -> str:
        """The queue of a task type: its own, or where routes send it, or the default one."""
        if task_type not in self._queue_of:
            raise UnknownTaskType(task_type, self.task_types)
        return self._queue_of[task_type]

    def add_task_type(self, function: Callable[..., Any], said: dict[str, Any]) -> TaskType:
        """Declare a task type; raises `DeclarationError`."""
        defaults = self._settings.defaults
        durations = ("timeout", "soft_timeout", "expires")
        retention = said.get("retention")
        task_type = declare(
            function,
            defaults,
            codec=Codec(limit=self._settings.payload_limit),
            **said
            | {name: as_duration(said.get(name)) for name in durations}
            | {
                "retention": Retention(retention, retention, retention)
                if isinstance(retention, timedelta)
                else retention,
                "unique": as_unique(said.get("unique")),
                "tags": as_names(said.get("tags")),
            },
        )
        name = task_type.name
        if name in self.task_types:
            raise DeclarationError(f"{name} is declared twice: give one of them another name")
        self.task_types[name] = task_type
        self._queue_of[name] = task_type.queue or self._routes.queue_of(name) or defaults.queue
        return task_type

    def add_queue(self, name: str, said: QueueOptions) -> QueueDefinition:
        """Declare a queue; raises `ConfigError`, and `DeclarationError` for another of its name."""
        declared = declaration(name, said)
        if self.queues.setdefault(name, declared) != declared:
            raise DeclarationError(
                f"the queue {name} is declared twice, with other settings: say them in one place"
            )
        return declared

    def add_schedule(self, name: str, made: "Callable[[], Schedule]") -> None:
        """Declare a schedule; raises what making it raises, and `DeclarationError`."""
        if name in self.schedules:
            raise DeclarationError(f"the schedule {name} is declared twice: give one another name")
        self.schedules[name] = made()

    def add_resource(self, opener: Callable[[], AsyncIterator[R]]) -> Resource[R]:
        """Declare a resource; raises `DeclarationError`."""
        if not inspect.isasyncgenfunction(opener):
            raise DeclarationError(
                f"a resource is an async generator function that yields its value; {opener!r} is "
                "none"
            )
        if any(each.name == opener.__qualname__ for each in self.resources):
            raise DeclarationError(f"a resource called {opener.__qualname__} is declared already")
        made = Resource(opener.__qualname__, opener)
        self.resources = (*self.resources, made)
        return made
