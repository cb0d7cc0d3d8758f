"""Progress while documents are indexed: bars on a terminal, a line now and then elsewhere."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from tidemill_apps.knowledge.demo.board import Board
from tidemill_apps.knowledge.demo.texts import Say

_NAME_WIDTH = 44


class Display(Protocol):
    """Shows a board that changes, inside a `with` block."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def show(self, board: Board) -> None:
        """Show the board as it is now; cheap enough to be called for every change."""

    def note(self, line: str) -> None:
        """Print a line that stays."""


def display_for(say: Say, folder: Path) -> Display:
    """Return bars if standard output is a terminal, lines if not; names are those in `folder`."""
    console = Console(highlight=False)
    return Bars(console, say, folder) if console.is_terminal else Lines(say)


class Bars:
    """One bar for all documents, and one for each that is being indexed."""

    def __init__(self, console: Console, say: Say, folder: Path) -> None:
        name = TextColumn(f"{{task.description:<{_NAME_WIDTH}}}", markup=False)
        self._progress = Progress(
            name, BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[doing]}"),
            console=console,
        )  # fmt: skip
        self._say = say
        self._folder = f"{folder}{os.sep}"
        self._all = self._progress.add_task(say.documents, total=100, doing="")
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del kind, error, traceback
        self._progress.stop()

    def show(self, board: Board) -> None:
        for task_id in self._bars.keys() - board.running.keys():
            self._progress.remove_task(self._bars.pop(task_id))
        for task_id, progress in board.running.items():
            if progress is None:
                continue
            if task_id not in self._bars:
                name = _short(progress.message.removeprefix(self._folder))
                self._bars[task_id] = self._progress.add_task(name, total=100, doing="")
            bar = self._bars[task_id]
            doing = self._say.steps.get(progress.step, progress.step)
            self._progress.update(bar, completed=progress.percent, doing=doing)
        doing = f"{board.ended}/{board.total}"
        self._progress.update(self._all, completed=board.percent, doing=doing)

    def note(self, line: str) -> None:
        self._progress.console.print(line, markup=False)


class Lines:
    """A line for every tenth of the documents."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._tenth = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.stdout.flush()

    def show(self, board: Board) -> None:
        tenth = 10 * board.ended // board.total if board.total else 0
        if tenth > self._tenth:
            self._tenth = tenth
            self.note(self._say.line.format(done=board.ended, total=board.total))

    def note(self, line: str) -> None:
        print(line, flush=True)


def _short(name: str) -> str:
    """The end of a path, which tells more than its beginning."""
    return name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"
