"""A backend for Django's tasks, and the application that a worker runs them with.

    TASKS = {
        "default": {
            "BACKEND": "tidemill.integrations.django.TidemillBackend",
            "OPTIONS": {"url": "redis://localhost:6379/0"},
        }
    }

`app` is the Tidemill application of the project: `manage.py tidemill worker` (with
`tidemill.integrations.django` among the installed apps), or
`tidemill -A tidemill.integrations.django:app worker` with `DJANGO_SETTINGS_MODULE` set. Where TASKS
has several Tidemill backends, `app` is that of `default`, and `app_reports` that of `reports`.

names      Django's own tasks, or the backport for older releases
options    what OPTIONS say; discovery: which functions are tasks
project    the application of one backend; runner: one attempt of a task in it
results    records of Tidemill as results of Django
backend    what Django calls
"""

from typing import Any

from tidemill.errors import ConfigError

try:
    from django.core.exceptions import ImproperlyConfigured

    from tidemill.integrations.django.backend import TidemillBackend
    from tidemill.integrations.django.project import APP, named
except ModuleNotFoundError as error:
    if error.name not in {"django", "django_tasks"}:
        raise
    raise ImportError(
        f"Tidemill in Django needs {error.name}: pip install django, and django-tasks too if it is "
        "older than Django 6"
    ) from error

__all__ = ["TidemillBackend"]


def __getattr__(name: str) -> Any:
    """Make `app` when somebody asks for it: settings are not there when this is imported."""
    if name == APP or name.startswith(f"{APP}_"):
        try:
            return named(name, TidemillBackend).app
        except ImproperlyConfigured as error:
            raise ConfigError(
                "the Django project cannot be used as it is (DJANGO_SETTINGS_MODULE names its "
                f"settings, as manage.py does): {error}"
            ) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
