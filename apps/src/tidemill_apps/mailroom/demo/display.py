"""Progress while mail comes in: bars on a terminal, a line now and then elsewhere."""

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from tidemill_apps.mailroom.demo.board import Board
from tidemill_apps.mailroom.demo.texts import Say

_PARTS: Final = 5
_INDENTED: Final = "  "


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


def display_for(say: Say, console: Console) -> Display:
    """Return bars if the console is a terminal, lines if not."""
    return Bars(say, console) if console.is_terminal else Lines(say)


class Bars:
    """A bar for the sync, one for all analyses, and below them how many are where."""

    def __init__(self, say: Say, console: Console) -> None:
        name = TextColumn("{task.description}", markup=False)
        self._progress = Progress(name, BarColumn(), TaskProgressColumn(), console=console)
        self._say = say
        self._sync = self._progress.add_task(say.syncing, total=100, visible=False)
        self._analyses = self._progress.add_task(say.analyses, total=100)
        self._where = Text()
        self._live = Live(Group(self._progress, self._where), console=console)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del kind, error, traceback
        self._live.stop()

    def show(self, board: Board) -> None:
        if board.synced is not None:
            self._progress.update(self._sync, completed=board.synced, visible=True)
        self._progress.update(self._analyses, completed=board.percent)
        lines = (states_in(self._say, board), steps_in(self._say, board))
        self._where.plain = "\n".join(f"{_INDENTED}{line}" for line in lines if line)


class Lines:
    """A line for every fifth of the analyses."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._part = 0

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
        part = _PARTS * board.ended // board.total if board.total else 0
        if part > self._part:
            self._part = part
            print(f"{_INDENTED}{states_in(self._say, board)}", flush=True)


def states_in(say: Say, board: Board) -> str:
    """How many analyses are in each state, in words."""
    counts = [f"{say.states.get(state, state)} {n}" for state, n in sorted(board.states.items())]
    return say.analyzed.format(done=board.ended, total=board.total, states=" · ".join(counts))


def steps_in(say: Say, board: Board) -> str:
    """How many running analyses are in each step, in words."""
    return " · ".join(f"{say.doing.get(step, step)} {n}" for step, n in sorted(board.steps.items()))
