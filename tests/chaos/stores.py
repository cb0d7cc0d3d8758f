"""The stores that campaigns run on, each empty and gone in the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

from tests.servers.server import KINDS, server

StoreName = Literal["sqlite", "valkey", "redis"]
"""Those that several processes can share."""

AnyStore = StoreName | Literal["memory"]

SERVED: Final[tuple[StoreName, ...]] = KINDS
"""Those that are a server of their own, as far as this machine has them."""

STORES: Final[tuple[StoreName, ...]] = ("sqlite", *SERVED)


@contextmanager
def opened(store: AnyStore, folder: Path) -> Iterator[str]:
    """The URL of an empty store that lives in a folder, or in this process only."""
    if store == "memory":
        yield "memory://"
        return
    if store == "sqlite":
        yield f"sqlite:///{folder}/tasks.db"
        return
    with server(folder / "server", kind=store) as made:
        yield made.url


@contextmanager
def swift(folder: Path) -> Iterator[Path]:
    """A folder in memory, where fsync takes no time, gone in the end; `folder` where there is none.

    With appendfsync everysec a server keeps its writes to itself while an fsync is under way, and
    answers them all the same: killed then, it has lost them (379 answered writes once in 12 kills
    beside a busy disk, none in memory). Where no disk is tested, no disk should decide the count.
    """
    if not _MEMORY.is_dir():
        yield folder
        return
    with TemporaryDirectory(prefix="tidemill-chaos-", dir=_MEMORY) as made:
        yield Path(made)


_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # what is made there is for us alone
