"""Which import finds an application, and the import itself."""

import os
import sys
from importlib import import_module

from tidemill.app import Tidemill
from tidemill.errors import ConfigError


def path_of(app: Tidemill) -> str | None:
    """The `module:attribute` by which another process can import an application.

    It is what `import_path` says, or the place among the modules of its task functions; None for
    an application that no module holds, such as one made inside a function.
    """
    if app.import_path is not None:
        return app.import_path
    for name in sorted({each.function.__module__ for each in app.task_types.values()}):
        module = sys.modules.get(name)
        for attribute, value in vars(module).items() if module is not None else ():
            if value is app:
                return f"{name}:{attribute}"
    return None


def import_app(path: str) -> Tidemill:
    """Import an application by `module:attribute`, also from the current directory.

    Raises `ConfigError` when there is none, and whatever the module raises.
    """
    module, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path:  # noqa: PTH109  # an entry of sys.path is a plain text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109  # the same
    found = getattr(import_module(module), attribute or "app", None)
    if not isinstance(found, Tidemill):
        raise ConfigError(f"{path!r} does not name a Tidemill application, as in shop.tasks:app")
    found.import_path = found.import_path or path
    return found
