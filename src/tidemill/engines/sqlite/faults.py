"""What SQLite reports, as errors for the person who reads them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from tidemill.errors import EngineFull, EngineRefused, EngineUnavailable

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def faults(path: Path, *, waited: float) -> Iterator[None]:
    """Turn what SQLite raises into the errors that the seam names."""
    try:
        yield
    except apsw.BusyError as error:
        raise EngineUnavailable(
            f"another process kept {path} locked for {waited:.0f} s: find out who holds a long "
            "transaction on it, then repeat the call"
        ) from error
    except apsw.FullError as error:
        raise full(path) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise EngineRefused(
            f"{path} cannot be written: give this user write access to the file and its folder"
        ) from error
    except apsw.CantOpenError as error:
        raise EngineRefused(f"{path} cannot be opened: {cannot_open(path)}") from error
    except apsw.NotADBError as error:
        raise EngineRefused(f"{path} is not a SQLite database: name another file") from error
    except apsw.CorruptError as error:
        raise EngineRefused(
            f"{path} is damaged ({error}): stop every process that uses it and restore a backup, "
            "or save what is readable with the sqlite3 shell's .recover"
        ) from error
    except apsw.IOError as error:
        if no_space(path):
            raise full(path) from error
        raise EngineUnavailable(f"reading or writing {path} failed: {error}") from error
    except apsw.NoMemError as error:
        raise EngineUnavailable(f"no memory left to work on {path}") from error


def full(path: Path) -> EngineFull:
    """The disk is full."""
    return EngineFull(
        f"no space left for {path}: nothing of this call was kept; free some space and repeat it"
    )


def no_space(path: Path) -> bool:
    """Whether a write beside the file finds no space, which SQLite may report as an I/O error."""
    probe = path.with_name(f"{path.name}.space")
    try:
        probe.write_bytes(bytes(65_536))
    except OSError as error:
        return error.errno in _NO_SPACE
    finally:
        probe.unlink(missing_ok=True)
    return False


def cannot_open(path: Path) -> str:
    """Why a file cannot be opened, as far as can be seen from here."""
    folder = path.parent
    if not folder.exists():
        return f"the folder {folder} does not exist; create it"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if path.is_dir():
        return "it is a folder; name a file in it"
    return "check that this user may read and write the file and its folder"
