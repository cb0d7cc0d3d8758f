"""Which functions are tasks: those that modules of the project declare, and no others.

A payload never says what is imported: a worker claims only the task types that were found here.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from tidemill.integrations.django.names import Task

PLACE = "tasks"
"""The module of an installed app in which tasks are looked for."""


def discovered(modules: Sequence[str]) -> dict[str, Task]:
    """The tasks of the installed apps and of these modules, by module path."""
    found: dict[str, Task] = {}
    for name in (*_places(), *modules):
        for value in vars(import_module(name)).values():
            if isinstance(value, Task):
                found.setdefault(value.module_path, value)
    return found


def _places() -> Iterator[str]:
    for config in apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, PLACE):
            yield f"{config.name}.{PLACE}"
