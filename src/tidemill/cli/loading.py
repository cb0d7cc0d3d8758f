"""Finding the application that `-A module:attribute` names."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from tidemill.app import Tidemill
from tidemill.cli.texts import Say
from tidemill.errors import ConfigError


def load_app(path: str, say: Say) -> Tidemill:
    """Import an application from `module:attribute`, the current folder first.

    Its `import_path` is set, so that child processes find it. Raises `ConfigError`, which says
    what of the path is wrong.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(say("app.shape", path=path))
    module = _imported(module_name, say)
    found = getattr(module, attribute, None)
    if found is None:
        raise ConfigError(
            say("app.no_attribute", module=module_name, name=attribute, found=_apps_in(module, say))
        )
    if not isinstance(found, Tidemill):
        raise ConfigError(
            say(
                "app.wrong_type",
                path=path,
                type=type(found).__name__,
                found=_apps_in(module, say),
            )
        )
    found.import_path = path
    return found


def _imported(name: str, say: Say) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(say("app.no_module", module=error.name, folder=here)) from error
        raise ConfigError(_failed(name, error, say)) from error
    except Exception as error:
        raise ConfigError(_failed(name, error, say)) from error


def _failed(name: str, error: Exception, say: Say) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return say(
        "app.import_failed",
        module=name,
        error=f"{type(error).__name__}: {error}",
        place=f"{place.filename}:{place.lineno}",
    )


def _apps_in(module: ModuleType, say: Say) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Tidemill)]
    return ", ".join(names) or say("none")
