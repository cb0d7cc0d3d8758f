"""Results of other tasks as arguments: the places that they will take, and filling these.

An argument of a step of a workflow may be, or hold, the result of another step, which does not
exist yet: a `Placeholder` stands for it. It is no JSON, so nothing of a user can be mistaken for
one: the payload is stored with null in its place, and which result goes where stands in a header.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidemill.codec import DEFAULT_CODEC, HEADER, open_envelope
from tidemill.errors import ConfigError

INPUTS: Final = "tidemill-inputs"
"""The header of a task that takes results of others."""

Place = tuple[str | int, ...]
"""The way from a payload's object to a value in it: names and positions."""


class Placeholder:
    """Stands for the result of a step until there is one; it can only be passed on."""

    __slots__ = ("step",)

    def __init__(self, step: str) -> None:
        self.step = step

    def __repr__(self) -> str:
        return f"<result of the step {self.step}>"

    def __str__(self) -> str:
        raise _too_early()

    def __bool__(self) -> bool:
        raise _too_early()


def _too_early() -> ConfigError:
    return ConfigError(
        "the result of a step exists when the step has run: pass it to another step as it is, and "
        "look at it there"
    )


class Input(msgspec.Struct, frozen=True, array_like=True):
    """The result of upstream task number `first` goes to `place`.

    So do those of the `count` - 1 tasks after it, to the positions after that one.
    """

    place: Place
    first: int
    count: int = 1


def parted(arguments: Mapping[str, object]) -> tuple[dict[str, Any], dict[Place, str]]:
    """Arguments as JSON values with None for each placeholder, and the step that goes there.

    Raises PayloadInvalid where there are placeholders and something else has no form in JSON; what
    holds none is not judged here.
    """
    places: dict[Place, str] = {}
    try:
        _without(_plain(arguments, lambda _: None), (), places)
    except (TypeError, RecursionError):
        places.clear()
    if not places:
        return {}, places
    return _without(_plain(arguments, _through_json), (), places), places


def _plain(arguments: Mapping[str, object], other: Callable[[Any], object]) -> Any:
    return msgspec.to_builtins(
        arguments, builtin_types=(Placeholder,), str_keys=True, enc_hook=other
    )


def _through_json(value: object) -> object:
    return DEFAULT_CODEC.decode(DEFAULT_CODEC.encode(value))


def _without(value: Any, place: Place, places: dict[Place, str]) -> Any:
    match value:
        case Placeholder():
            places[place] = value.step
            return None
        case dict():
            return {name: _without(each, (*place, name), places) for name, each in value.items()}
        case list() | tuple():
            return [_without(each, (*place, at), places) for at, each in enumerate(value)]
    return value


def header_of(places: Iterable[tuple[Place, int]]) -> str:
    """The header that says which upstream task's result goes where; a run of them is one input."""
    inputs: list[Input] = []
    for place, number in places:
        if inputs and _goes_on(inputs[-1], place, number):
            last = inputs[-1]
            inputs[-1] = Input(last.place, last.first, last.count + 1)
        else:
            inputs.append(Input(place, number))
    return msgspec.json.encode(inputs).decode()


def _goes_on(run: Input, place: Place, number: int) -> bool:
    start = run.place[-1]
    return (
        isinstance(start, int)
        and place == (*run.place[:-1], start + run.count)
        and number == run.first + run.count
    )


def places_of(header: str) -> list[tuple[Place, int]]:
    """What `header_of` was given."""
    places: list[tuple[Place, int]] = []
    for each in msgspec.json.decode(header, type=tuple[Input, ...]):
        way, start = each.place[:-1], each.place[-1]
        if isinstance(start, int):
            places += (((*way, start + at), each.first + at) for at in range(each.count))
        else:
            places.append((each.place, each.first))
    return places


def filled(
    payload: bytes, places: Sequence[tuple[Place, int]], results: Mapping[int, bytes | None]
) -> bytes:
    """A payload with the results, by number, in their places; None leaves null there.

    However large it becomes: it is decoded at once, and never stored.
    """
    tree = DEFAULT_CODEC.decode(payload)
    for place, number in places:
        *way, last = place
        node = tree
        for step in way:
            node = node[step]
        result = results[number]
        node[last] = None if result is None else msgspec.Raw(open_envelope(result))
    return HEADER + msgspec.json.encode(tree)
