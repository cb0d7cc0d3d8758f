"""What a tree says about a kind of value: the leaves by path, and what is wrong with them."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
import yaml

from tidemill.configuration.document import Node
from tidemill.configuration.mistakes import Mistake, Place

Path = tuple[str, ...]

PREFIX: Final = "TIDEMILL_"
BETWEEN: Final = "__"

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>s|min|m|h|d|w)?")


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it was said; `key_at` is where a complaint about it points to."""

    value: Any
    place: Place
    key_at: Place


def environment_tree(environment: Mapping[str, str]) -> Node | None:
    """The variables that set something, such as `TIDEMILL_WORKER__CONCURRENCY`, as one tree."""
    root: dict[str, Any] = {}
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX) and BETWEEN in name.removeprefix(PREFIX):
            inner, (*path, last) = root, name.removeprefix(PREFIX).lower().split(BETWEEN)
            place = Place(name)
            for part in path:
                node = inner.setdefault(part, Node({}, place))
                if not isinstance(node.value, dict):
                    node = inner[part] = Node({}, place)
                inner = node.value
            inner[last] = Node(Text(text), place)
    return Node(root, Place("environment")) if root else None


class Text(str):
    """A value of the environment: text that may stand for a number or a list."""

    __slots__ = ()


def read(kind: type, node: Node, path: Path = ()) -> Iterator[tuple[Path, Given] | Mistake]:
    """The leaves of a tree that is to be read as a kind of section."""
    if node.value is None:
        return  # a section without anything in it
    if not isinstance(node.value, dict):
        yield Mistake(node.at, f"{dotted(path)} is a section with keys of its own, not a value")
        return
    kinds = parts(kind)
    for name, inner in node.value.items():
        known = kinds.get(name) if kinds is not None else entries_of(kind)
        if known is None:
            yield Mistake(inner.at, unknown((*path, name), list(kinds or ())))
        elif is_section(known):
            yield from read(known, inner, (*path, name))
        else:
            yield _leaf(known, inner, (*path, name))


def parts(kind: type) -> dict[str, Any] | None:
    """The types of a section's keys by name; None for a section whose keys are free."""
    if get_origin(kind) is dict:
        return None
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def entries_of(kind: type) -> Any:
    """The type under each key of a section whose keys are free."""
    return get_args(kind)[1]


def is_section(kind: Any) -> bool:
    """Whether there are keys under it."""
    return get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(path) or "the file"


def unknown(path: Path, known: Sequence[str]) -> str:
    """What to say about a key that does not exist."""
    close = difflib.get_close_matches(path[-1], known, 1, 0.6)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
    return f"there is no setting {dotted(path)}: {hint}"


def _leaf(kind: Any, node: Node, path: Path) -> tuple[Path, Given] | Mistake:
    try:
        return path, Given(_converted(kind, node.value), node.place, node.at)
    except (ValueError, TypeError, OverflowError, yaml.YAMLError):
        return Mistake(node.at, f"{dotted(path)} must be {_wanted(kind)}, not {_shown(node.value)}")


def _converted(kind: Any, value: Any) -> Any:
    """A value as one of a leaf's type; raises ValueError or TypeError."""
    if kind is object:
        return _plain(value)
    types = get_args(kind) or (kind,)
    if get_origin(kind) is tuple or any(get_origin(each) is tuple for each in types):
        return _names(value)
    if isinstance(value, dict | list):
        raise TypeError("a list or a section where one value stands")
    if isinstance(value, Text):
        if str in types:
            return str(value)
        value = yaml.safe_load(value)
    if value is None and type(None) not in types:
        raise ValueError("nothing where something is needed")
    if timedelta in types and value is not None:
        return _duration(value)
    return msgspec.convert(value, kind, strict=True)


def _plain(value: Any) -> Any:
    """A tree without its places, as whoever it belongs to reads it."""
    match value:
        case dict():
            return {name: _plain(each.value) for name, each in value.items()}
        case list():
            return [_plain(each.value) for each in value]
        case Text():
            return yaml.safe_load(value)
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return tuple(each for part in value.split(",") if (each := part.strip()))
    items = [each.value for each in value] if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in items):
        raise ValueError("a list of names")
    return tuple(items)


def _duration(value: Any) -> timedelta:
    found = _DURATION.fullmatch(str(value)) if not isinstance(value, bool) else None
    if found is None:
        raise ValueError("no duration")
    return timedelta(seconds=float(found["number"]) * _UNITS[found["unit"] or "s"])


def _wanted(kind: Any) -> str:
    types = get_args(kind) or (kind,)
    names = {
        int: "a whole number",
        str: "text (in quotes if it looks like a number)",
        timedelta: "a duration such as 30s, 5m or 12h (a number is seconds)",
    }
    wanted = next((names[each] for each in types if each in names), "a list of names")
    for word in (word for each in types if get_origin(each) is Literal for word in get_args(each)):
        wanted += f" or {word}"
    return f"{wanted} or null" if type(None) in types and str not in types else wanted


def _shown(value: Any) -> str:
    """What was found, by its kind: the value itself may be a secret."""
    match value:
        case Text() | str():
            return "text"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number" if isinstance(value, float) else "a whole number"
        case dict():
            return "a section"
        case list():
            return "a list"
        case None:
            return "null"
    return f"a {type(value).__name__}"
