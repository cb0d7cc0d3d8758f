"""What the server refused, as the errors that the library itself raises."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msgspec

from tidemill import errors
from tidemill.errors import RequestRefused, TidemillError
from tidemill.interface.problems import Problem


def problem_of(status: int, body: bytes) -> Problem:
    """What the server said; made up from the status where it said nothing that can be read."""
    try:
        return msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        try:
            title = HTTPStatus(status).phrase
        except ValueError:
            title = "Unknown"
        return Problem(type="no-problem-details", title=title, status=status, detail=title)


def error_of(problem: Problem, retry_after: str | None = None) -> TidemillError:
    """The error of the library with the problem's slug, else `RequestRefused`.

    It has the attributes of its class; those that the answer does not tell are None. `problem` is
    added to it. `retry_after` is what that header says.
    """
    kind = next((each for each in _tree(TidemillError) if each.slug == problem.type), None)
    if kind is None:
        return RequestRefused(f"{problem.status} {problem.type}: {problem.detail}", problem)
    error = kind.__new__(kind)
    error.args = (problem.detail,)
    names = [each for each in inspect.signature(kind).parameters if each != "message"]
    attributes: dict[str, Any] = {**dict.fromkeys(names), "problem": problem}
    if problem.errors:
        told = {"field": problem.errors[0].field, "reason": problem.errors[0].message}
        attributes |= {name: text for name, text in told.items() if name in attributes}
    if retry_after is not None and retry_after.isdecimal() and "retry_after" in attributes:
        attributes["retry_after"] = timedelta(seconds=int(retry_after))
    error.__dict__.update(attributes)
    return error


def _tree(kind: type[TidemillError]) -> Iterator[type[TidemillError]]:
    """Every class of the closed tree: those of `errors`, not those that others derived."""
    if kind.__module__ == errors.__name__:
        yield kind
        for each in kind.__subclasses__():
            yield from _tree(each)
