"""What is wrong with a configuration, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said: a file with line and column (from 1), or a variable by its name."""

    name: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and what would be right."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"
