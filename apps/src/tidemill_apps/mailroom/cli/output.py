"""Printing answers, as tables for people or as JSON for programs."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.cells import cell_len

from tidemill_apps.mailroom.cli.session import Session

_GAP = "  "


def show_json(value: object) -> None:
    """Print a value as JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show(
    session: Session, answer: object, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Print `answer` as JSON, or `rows` as a table; `columns` are keys of the texts."""
    if session.form == "json":
        show_json(answer)
        return
    headings = [session.say(f"column.{each}") for each in columns]
    texts = [[text_of(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(headings, texts)
    else:
        print("\n".join(_lines([headings, *texts])))


def show_one(session: Session, answer: object, lines: Mapping[str, object]) -> None:
    """Print one value as JSON, or `lines`: keys of the texts with what they tell."""
    if session.form == "json":
        show_json(answer)
        return
    told = {session.say(f"column.{key}"): text_of(value) for key, value in lines.items()}
    width = max(map(cell_len, told))
    for heading, text in told.items():
        indented = text.replace("\n", "\n" + " " * width + _GAP)
        if text:
            print(f"{_padded(heading, width)}{_GAP}{indented}")


def text_of(value: object) -> str:
    """What a cell shows."""
    match value:
        case None:
            return ""
        case True | False:
            return "✓" if value else ""
        case float():
            return f"{value:.2f}"
        case int():
            return f"{value:,}"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M")
        case list() | tuple():
            return ", ".join(map(text_of, value))
        case Mapping():
            return ", ".join(f"{key} {text_of(each)}" for key, each in value.items())
    return str(value)


def _draw(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def as_mapping(value: Any) -> dict[str, Any]:
    """The fields of a struct by name, or of what the result of a task is."""
    built = msgspec.to_builtins(value)
    return built if isinstance(built, dict) else {"result": built}
