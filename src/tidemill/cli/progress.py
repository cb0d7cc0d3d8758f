"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidemill.cli.texts import Say

Advance = Callable[[int], None]
"""Takes how much is done by now."""

_LINES = 10


@contextmanager
def progress(say: Say, doing: str, total: int) -> Iterator[Advance]:
    """Show how much of `total` is done; `doing` is a key of the texts."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task(say(doing), total=total)
            yield lambda done: bars.update(bar, completed=done)
    else:
        yield _lines(say, doing, total)


def _lines(say: Say, doing: str, total: int) -> Advance:
    """One line at each tenth, not more: logs are read by people too."""
    shown = 0

    def advance(done: int) -> None:
        nonlocal shown
        tenth = _LINES if total <= 0 else done * _LINES // total
        if tenth > shown:
            shown = tenth
            print(
                say("progress.line", doing=say(doing), done=f"{done:,}", total=f"{total:,}"),
                file=sys.stderr,
                flush=True,
            )

    return advance
