"""Which URLs name a business database."""

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tidemill import ConfigError

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def database_url(url: str, *, engine_url: str) -> URL:
    """The URL with its driver: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://…`.

    `engine_url` is that of the Tidemill engine (`app.settings.url`). Raises `ConfigError` for other
    databases, and for the engine's own file: a second SQLite library that closes a file in the same
    process drops the locks of the first one, and committed rows vanish.
    """
    parsed = _parsed(url)
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigError(
            f"{_shown(parsed)} is no business database: write sqlite:///FILE or postgresql://…"
        )
    path = sqlite_path(parsed)
    if parsed.drivername.startswith("sqlite") and path is None:
        raise ConfigError(
            f"{_shown(parsed)} names no file, and each connection would have a database of its "
            "own: write sqlite:///relative.db or sqlite:////absolute.db"
        )
    if path is not None and _is_engine_file(path, engine_url):
        raise ConfigError(
            f"{path} is the file of the Tidemill engine ({engine_url}), which only the engine may "
            "open: give the business data a file of its own"
        )
    return parsed.set(drivername=driver)


def sqlite_path(url: URL) -> Path | None:
    """The file that a SQLite URL names; None for a database in memory or a server."""
    if not url.drivername.startswith("sqlite") or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "the URL of the business database cannot be read: write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        ) from error


def _is_engine_file(path: Path, engine_url: str) -> bool:
    if not engine_url.startswith("sqlite:"):
        return False
    engine_path = sqlite_path(make_url(engine_url))
    if engine_path is None:
        return False
    if path.resolve() == engine_path.resolve():
        return True
    # a second name of one file (a hard link, another spelling on a file system that folds case)
    return path.exists() and engine_path.exists() and path.samefile(engine_path)


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
