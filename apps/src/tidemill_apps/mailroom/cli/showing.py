"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_TENTHS = 10


class Advance(Protocol):
    """Takes which share is done (0..1), and what to say beside it."""

    def __call__(self, share: float, doing: str, /) -> None: ...


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Show how far something is for as long as the block takes."""
    if not sys.stderr.isatty():
        yield _lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(title, total=1.0, doing="")

        def advance(share: float, doing: str, /) -> None:
            bars.update(bar, completed=share, doing=doing)

        yield advance


def _lines(title: str) -> Advance:
    """A line whenever another tenth is done: people read logs, too."""
    tenth = -1

    def advance(share: float, doing: str, /) -> None:
        nonlocal tenth
        done = int(share * _TENTHS)
        if done > tenth:
            tenth = done
            print(f"{title} {share:4.0%}  {doing}", file=sys.stderr, flush=True)

    return advance
