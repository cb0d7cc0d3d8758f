"""Where an application keeps its tasks unless it is told an engine."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


def engine_file(folder: Path) -> str:
    """The URL of the engine `tasks.db` in an application's own folder, which is made.

    The first program that runs on a machine is often a worker, and an engine makes no folders. Why
    this one cannot be made is told by the engine when it is opened.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{quote(str(folder / 'tasks.db'))}"
