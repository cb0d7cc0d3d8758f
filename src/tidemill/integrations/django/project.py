"""The Tidemill application of a Django project: one in a process for each backend."""

import threading
from functools import cached_property
from typing import Final

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from tidemill.app import Tidemill
from tidemill.integrations.django.discovery import discovered
from tidemill.integrations.django.names import BaseTaskBackend, InvalidTask, Task, task_backends
from tidemill.integrations.django.options import Options, database_in_the_way
from tidemill.integrations.django.runner import runner
from tidemill.settings import Defaults

APP = "app"
"""The name of the application in the package; `app_reports` is that of the backend `reports`."""


class Project:
    """A backend's application, with one task type for each task of the project.

    Both are made when they are first asked for: Django imports the modules that declare tasks, and
    those make the backend.
    """

    def __init__(self, alias: str, options: Options) -> None:
        self.alias = alias
        self._options = options
        self._making = threading.RLock()

    @property
    def app(self) -> Tidemill:
        """The application; raises `ImproperlyConfigured`."""
        with self._making:
            return self._app

    def task(self, module_path: str) -> Task | None:
        """The task that the project declares under a module path, None if it declares none."""
        with self._making:
            return self._tasks.get(module_path)

    def declared(self, task: Task) -> Task:
        """The declaration of a task; raises `InvalidTask` for one that no worker would find."""
        found = self.task(task.module_path)
        if found is None:
            raise InvalidTask(
                f"no worker would find {task.module_path}: move it to the tasks module of an "
                f'installed app, or name its module in TASKS["{self.alias}"]["OPTIONS"]["modules"]'
            )
        return found

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        return discovered(self._options.modules)

    @cached_property
    def _app(self) -> Tidemill:
        options = self._options
        app = Tidemill(
            options.url,
            defaults=Defaults(max_attempts=options.max_attempts, timeout=options.timeout),
        )
        if (database := database_in_the_way(app.settings.url)) is not None:
            raise ImproperlyConfigured(
                f"{app.settings.url} is the file of the Django database {database!r}, and two "
                "SQLite libraries on one file in one process lose data: give Tidemill a file of "
                "its own"
            )
        for path, task in self._tasks.items():
            app.task(name=path)(runner(app, task, self.alias))
        app.import_path = f"{__package__}:{APP}_{self.alias}"
        return app


_PROJECTS: Final[dict[tuple[str, Options], Project]] = {}
"""Django makes a backend for each thread; what they share is here. Entries are only added."""


def project(alias: str, options: Options) -> Project:
    """The project of a backend: the same one on all threads of the process."""
    return _PROJECTS.setdefault((alias, options), Project(alias, options))


def named(name: str, backend: type[BaseTaskBackend]) -> Project:
    """The project that `app` or `app_{alias}` names, of a backend of this class.

    `app` is that of the default backend, or of the only one. Sets Django up where nobody has;
    raises `ImproperlyConfigured`.
    """
    if not apps.models_ready:
        django.setup()
    ours = {
        alias: made
        for alias in task_backends.settings
        if isinstance(made := task_backends[alias], backend)
    }
    alias = name.removeprefix(APP).removeprefix("_") or ("default" if len(ours) != 1 else min(ours))
    if alias not in ours:
        raise ImproperlyConfigured(
            f"TASKS has no Tidemill backend {alias!r}; it has {', '.join(sorted(ours)) or 'none'} "
            f'("BACKEND": "{__package__}.{backend.__name__}")'
        )
    return ours[alias].project
