"""What all parts of the demo need, and how it is told whether they came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console

from tidemill_apps.mailroom.demo.texts import Say
from tidemill_apps.mailroom.opening import Mailroom


class Expected(msgspec.Struct, frozen=True):
    """Something that has to come out: `what` is its key in `Say.facts`."""

    what: str
    found: object
    wanted: object

    @property
    def met(self) -> bool:
        """Whether it came out."""
        return self.found == self.wanted


@dataclass(frozen=True, slots=True)
class Stage:
    """What all parts of the demo need."""

    say: Say
    console: Console
    room: Mailroom
    user_id: str
    port: int | None
    letters: Path


def judge(say: Say, missed: Sequence[Expected]) -> int:
    """Say what did not come out; the exit code."""
    if missed:
        print(f"\n{say.failed}")
    for each in missed:
        what = say.facts.get(each.what, each.what)
        print(say.expected.format(what=what, found=each.found, wanted=each.wanted))
    return 1 if missed else 0
