"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tidemill.cli.texts import Say

_LINES = 10
_FIRST = 1_000


class Advance(Protocol):
    """Takes how much is done by now, and of how much where that is known only now."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


@contextmanager
def progress(say: Say, doing: str, total: int | None = None) -> Iterator[Advance]:
    """Show how much is done, of `total` if that is known; `doing` is a key of the texts."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task(say(doing), total=total)

            def advance(done: int, told: int | None = None, /) -> None:
                bars.update(bar, completed=done, total=told)  # None leaves the total as it is

            yield advance
    else:
        yield _lines(say, doing, total)


def _lines(say: Say, doing: str, total: int | None) -> Advance:
    """One line at each tenth, or each doubling of an unknown total: people read logs too."""
    shown, due = 0, _FIRST

    def advance(done: int, told: int | None = None, /) -> None:
        nonlocal shown, due
        known = total if told is None else told
        if known is None:
            if done >= due:
                due = done * 2
                _tell(say("progress.so_far", doing=say(doing), done=f"{done:,}"))
            return
        tenth = _LINES if known <= 0 else done * _LINES // known
        if tenth > shown:
            shown = tenth
            _tell(say("progress.line", doing=say(doing), done=f"{done:,}", total=f"{known:,}"))

    return advance


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
