"""Which URLs name a vector store."""

from pathlib import Path
from urllib.parse import urlsplit

from tidemill import ConfigError
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors.sqlite import SqliteVectors
from tidemill_apps.services.vectors.store import VectorStore


def open_vectors(url: str) -> VectorStore:
    """The store that a URL names; a server is first asked when a verb is.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `milvus://[USER:PASSWORD@]HOST[:PORT][/NAME]`
    (or `http://`, `https://`), `postgresql://…` as libpq reads it. Raises `ConfigError` for others.
    A SQLite file must not be the Tidemill engine's: see `SqliteFile`.
    """
    match urlsplit(url).scheme:
        case "sqlite":
            return SqliteVectors(SqliteFile(_path(url)))
        case "milvus" | "http" | "https":
            from tidemill_apps.services.vectors.milvus import MilvusVectors  # noqa: PLC0415  1 s

            return MilvusVectors(url)
        case "postgresql" | "postgres":
            from tidemill_apps.services.vectors.postgres import (  # noqa: PLC0415  an extra
                PostgresVectors,
            )

            return PostgresVectors(url)
        case _:
            raise ConfigError(
                "the URL names no vector store: write sqlite:///FILE, milvus://HOST:PORT or "
                "postgresql://USER:PASSWORD@HOST/NAME"
            )


def _path(url: str) -> Path:
    path = urlsplit(url).path.removeprefix("/")
    if not path or not url.startswith("sqlite:///"):
        raise ConfigError(
            "the URL of the vectors names no file: write sqlite:///relative.db or "
            "sqlite:////absolute.db"
        )
    return Path(path)
