"""What the OPTIONS of a backend may say."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from tidemill.settings import DEFAULT_URL, Defaults

_SQLITE = "sqlite:///"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one backend works.

    `url` names the engine. `modules` are imported for their tasks besides the `tasks` modules of
    the installed apps. With `on_commit`, what is enqueued inside a transaction of the default
    database reaches the engine when that commits, and never if it is rolled back. `max_attempts`
    counts the first attempt, `timeout` (seconds) ends one.
    """

    url: str = DEFAULT_URL
    modules: tuple[str, ...] = ()
    on_commit: bool = True
    max_attempts: int = Defaults().max_attempts
    timeout: timedelta | None = None


def options_of(alias: str, said: Mapping[str, Any]) -> Options:
    """Read the OPTIONS of a backend; raises `ImproperlyConfigured`."""
    try:
        return msgspec.convert(dict(said), Options, strict=False)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f'TASKS["{alias}"]["OPTIONS"]: {error}') from error


def database_in_the_way(url: str) -> str | None:
    """The alias of a Django database in the very file of an SQLite engine.

    Two SQLite libraries on one file in one process lose committed rows: when one closes it, the
    other's locks are gone.
    """
    if not url.startswith(_SQLITE):
        return None
    file = Path(url.removeprefix(_SQLITE).partition("?")[0]).resolve()
    for alias, database in connections.settings.items():
        if database["ENGINE"].endswith("sqlite3") and Path(database["NAME"]).resolve() == file:
            return str(alias)
    return None
