"""What a campaign hands back, and how it is shown."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.stores import AnyStore

SHOWN = 10
PLAIN_LINE_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """One campaign: what was counted, and every invariant that broke."""

    name: str
    command: str
    figures: Sequence[tuple[str, str]]
    broken: Sequence[str]
    skipped: str = ""

    @property
    def text(self) -> str:
        """The report as lines of plain text."""
        verdict = "SKIPPED: " + self.skipped if self.skipped else "held"
        lines = [f"{self.name}: {'BROKEN' if self.broken else verdict}"]
        width = max((len(name) for name, _ in self.figures), default=0)
        lines += [f"  {name:<{width}}  {value}" for name, value in self.figures]
        lines += [f"  broken: {text}" for text in self.broken[:SHOWN]]
        if len(self.broken) > SHOWN:
            lines.append(f"  … and {len(self.broken) - SHOWN} more")
        return "\n".join([*lines, f"  repeat: {self.command}"])


def repeat(name: str, seed: int, store: AnyStore, wanted: msgspec.Struct) -> str:
    """The command that runs a campaign again, as it was."""
    words = [f"python -m tests.chaos {name} --store {store} --seed {seed}"]
    for each in msgspec.structs.fields(wanted):
        value = getattr(wanted, each.name)
        if value != each.default:
            words.append(f"--set {each.name}={msgspec.json.encode(value).decode()}")
    return " ".join(words)


def spread(seconds: Sequence[float]) -> str:
    """Percentiles of durations."""
    if len(seconds) < 2:
        return ", ".join(f"{value:.2f} s" for value in seconds) or "none"
    cuts = quantiles(seconds, n=100, method="inclusive")
    return f"p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, max {max(seconds):.2f} s"


@dataclass(slots=True)
class Ticker:
    """Progress of a campaign: a bar on a terminal, a plain line every few seconds elsewhere."""

    name: str
    quiet: bool = False
    _bar: Progress | None = None
    _last: float = field(default_factory=time.monotonic)

    def tell(self, done: int, total: int, text: str = "") -> None:
        """Show how far it is."""
        if self.quiet:
            return
        if sys.stdout.isatty():
            self._draw(done, total, text)
        elif time.monotonic() - self._last >= PLAIN_LINE_EVERY:
            self._last = time.monotonic()
            print(f"{self.name}: {done}/{total} {text}", flush=True)

    def _draw(self, done: int, total: int, text: str) -> None:
        if self._bar is None:
            columns = (
                TextColumn(self.name),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=Console())
            self._bar.add_task(text, total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
