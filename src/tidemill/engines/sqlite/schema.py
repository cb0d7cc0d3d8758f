"""The schema's migrations: numbered, forward only, applied in one transaction."""

from functools import cache
from importlib.resources import files

import apsw

from tidemill.errors import SchemaTooNew


@cache
def migrations() -> tuple[str, ...]:
    """The text of every migration, in order; the n-th leads to schema version n."""
    folder = files(__package__).joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(folder.joinpath(name).read_text("utf-8") for name in names)


def migrate(on: apsw.Connection) -> None:
    """Bring the file to this version's schema. Safe to repeat and to race."""
    known = len(migrations())
    if _version(on) == known:
        return
    on.execute("BEGIN EXCLUSIVE")
    try:
        found = _version(on)
        if found > known:
            raise SchemaTooNew(found, known)
        for text in migrations()[found:]:
            on.execute(text)
        on.pragma("user_version", known)
    except BaseException:
        on.execute("ROLLBACK")
        raise
    on.execute("COMMIT")


def _version(on: apsw.Connection) -> int:
    return int(on.pragma("user_version"))
