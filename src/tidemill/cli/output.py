"""Printing answers as a table, as JSON, or as lines of JSON."""

import sys
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tidemill.cli.session import Form, Session

Record = Mapping[str, Any]
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Listing:
    """Records of one kind.

    `name` is their key in JSON, with `extra` beside it; `columns` are the headings of the table
    (keys of the texts) and what stands under each. On a narrow terminal the cells of the column
    `wrapped` take several lines; the others are cut.
    """

    name: str
    records: Sequence[Record]
    columns: Mapping[str, Callable[[Record], object]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    wrapped: str | None = None


def show(session: Session, listing: Listing) -> None:
    """Print records in the form that was asked for."""
    match session.form:
        case Form.JSON:
            print_json({listing.name: list(listing.records), **listing.extra}, indent=True)
        case Form.JSONL:
            for record in listing.records:
                print_json(record)
        case Form.TABLE:
            print_table(
                [session.say(heading).upper() for heading in listing.columns],
                [
                    [text_of(column(record)) for column in listing.columns.values()]
                    for record in listing.records
                ],
                wrapped=[
                    number
                    for number, heading in enumerate(listing.columns)
                    if heading == listing.wrapped
                ],
            )


def show_one(session: Session, record: Record, lines: Mapping[str, object]) -> None:
    """Print one record; the table form prints `lines`, keys of the texts with their values."""
    if session.form is Form.TABLE:
        shown = {session.say(key): text_of(value) for key, value in lines.items()}
        width = max(map(width_of, shown), default=0)
        for heading, text in shown.items():
            indented = text.replace("\n", "\n" + " " * (width + len(_GAP)))
            print(f"{padded(heading, width)}{_GAP}{indented}".rstrip())
    else:
        print_json(record, indent=session.form is Form.JSON)


def print_json(value: object, *, indent: bool = False) -> None:
    """Print one JSON value, on one line unless it is to be indented."""
    print(dumps(value, indent=indent))


def dumps(value: object, *, indent: bool = False) -> str:
    """A value as JSON text."""
    text = msgspec.json.encode(value)
    return (msgspec.json.format(text, indent=2) if indent else text).decode()


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, wrapped: Collection[int] = ()
) -> None:
    """Print a table: drawn on a terminal, else plain columns that nothing is cut from.

    `wrapped` are numbers of columns whose cells a terminal may show on several lines.
    """
    if sys.stdout.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, heading in enumerate(headings):
            # The first column names the thing: it is never cut.
            whole = max((width_of(row[number]) for row in rows), default=0) if number == 0 else None
            if number in wrapped:
                table.add_column(heading, overflow="fold")
            else:
                table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=whole)
        for row in rows:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(map(width_of, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (padded(cell, width) for cell, width in zip(line, widths, strict=True))
        print(_GAP.join(cells).rstrip())


def text_of(value: object) -> str:
    """What a cell of a table shows."""
    match value:
        case None:
            return ""
        case True | False:
            return "✓" if value else ""
        case float():
            return f"{value:g}"
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(map(text_of, value))
        case dict():
            return msgspec.json.encode(value).decode()
    return str(value)


def age(seconds: float | None) -> str:
    """A duration for people, in its largest fitting unit."""
    if seconds is None:
        return ""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def took(milliseconds: float | None) -> str:
    """How long something took, with three digits or so.

    >>> [took(each) for each in (0.4321, 12.34, 1234.5, 754000)]
    ['0.432 ms', '12.3 ms', '1.23 s', '754 s']
    """
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.3g} ms"
    return f"{milliseconds / 1000:.{0 if milliseconds >= 100_000 else 2}f} s"


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal: wide characters take two."""
    return sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in text)


def padded(text: str, width: int) -> str:
    """A text with blanks behind it, as wide as that."""
    return text + " " * (width - width_of(text))
