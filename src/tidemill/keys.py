"""Keys that calls make of their arguments: held by one task at a time, or by a few."""

import inspect
import re
import string
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from tidemill.clock import duration
from tidemill.errors import DeclarationError, PayloadInvalid
from tidemill.ids import is_name
from tidemill.signature import Signature
from tidemill.task import Limit, Retention, UniqueKey

KeyOf = str | Callable[..., str]
"""A template over the arguments, or a function that takes all of them by name."""


class Unique(msgspec.Struct, frozen=True):
    """At most one task of a type per key, in a queue: two types never share a key.

    `key` is a template over the arguments (`"index:{document_id}"`) or a function that takes all
    of them by name. It is held until the task's start, its end, or for a duration from enqueueing;
    `on_conflict` and `within` mean what they mean in `UniqueKey`. `cached` keeps it after the task
    has completed, and `wait` delays a task whose call does not say when it runs: see `cached` and
    `debounce`.
    """

    key: KeyOf
    until: Literal["start", "end"] | timedelta = "end"
    on_conflict: Literal["keep", "replace", "reject"] = "keep"
    cached: timedelta | None = None
    wait: timedelta | None = None
    within: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse rules that do not exist: a misspelt one would silently be another."""
        if not isinstance(self.until, timedelta) and self.until not in ("start", "end"):
            raise DeclarationError(f"unique until {self.until!r}: say start, end or a timedelta")
        if self.on_conflict not in ("keep", "replace", "reject"):
            raise DeclarationError(f"on_conflict={self.on_conflict!r}: say keep, replace or reject")
        for name in ("until", "cached", "wait", "within"):
            value = getattr(self, name)
            if isinstance(value, timedelta) and value <= timedelta(0):
                raise DeclarationError(f"unique key {self.key!r}: {name} {value} must be above 0")
        if self.within is not None and self.on_conflict != "replace":
            raise DeclarationError(
                f"the unique key {self.key!r}: within bounds how often a task is replaced, so it "
                'needs on_conflict="replace"'
            )

    def check(self, signature: Signature, retention: Retention) -> None:
        """Raise `DeclarationError` unless such a task can make the key, and keep what is cached."""
        _check_key("unique key", self.key, signature)
        kept = retention.completed
        if self.cached is not None and kept is not None and kept < self.cached:
            raise DeclarationError(
                f"{signature.task_type} caches results for {self.cached}, but its completed tasks "
                f"are removed after {kept}: give it a retention of at least {self.cached}"
            )

    def of(self, task_type: str, arguments: Mapping[str, Any]) -> UniqueKey:
        """The key of one call; `PayloadInvalid` when its arguments do not fit the template."""
        lasting = self.until if isinstance(self.until, timedelta) else None
        return UniqueKey(
            f"{task_type}/{_key_of('unique key', self.key, task_type, arguments)}",
            until="end" if isinstance(self.until, timedelta) else self.until,
            on_conflict=self.on_conflict,
            lasting=lasting,
            cached=self.cached,
            within=self.within,
        )


class AtMost(msgspec.Struct, frozen=True):
    """At most `count` tasks per key are pending or running at once, in a queue.

    The others are blocked, outside of what workers look at. `per` is a template over the arguments
    (`"user:{user_id}"`) or a function that takes all of them by name; None counts all tasks of the
    type. Task types that give the same `name` count together, where their queue is the same.
    """

    count: int
    per: KeyOf | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would let nothing run, or cannot name anything."""
        if self.count < 1:
            raise DeclarationError(f"AtMost({self.count}) would let nothing run: at least 1")
        if self.name is not None and not is_name(self.name):
            raise DeclarationError(
                f"{self.name!r} cannot name a limit: use 1-200 of A-Z a-z 0-9 _ . : -"
            )

    def check(self, signature: Signature) -> None:
        """Raise `DeclarationError` unless the arguments of this signature can make the key."""
        if self.per is not None:
            _check_key("limit", self.per, signature)

    def of(self, task_type: str, arguments: Mapping[str, Any]) -> Limit:
        """The limit of one call; `PayloadInvalid` when its arguments do not fit the template."""
        key = self.name or task_type
        if self.per is not None:
            key = f"{key}/{_key_of('limit', self.per, task_type, arguments)}"
        return Limit(key, self.count)


def debounce(
    key: KeyOf, wait: timedelta | float, at_most: timedelta | float | None = None
) -> Unique:
    """Run once after calls have stopped coming: `wait` after the last one, with its arguments.

    But not later than `at_most` after the first one. Seconds or timedelta. A call while the task
    is scheduled gives it its arguments and moves it; once it has started, a call makes a new one.
    In between, when its time has come and no worker has taken it yet, it stays as it is, and its
    handle is the answer. A call that chooses its own `delay` or `run_at` waits for that instead.
    """
    waits, within = duration(wait), None if at_most is None else duration(at_most)
    if within is not None and within < waits:
        raise DeclarationError(
            f"debounce({key!r}): at_most {within} is below the wait of {waits} that each call adds"
        )
    return Unique(key, until="start", on_conflict="replace", wait=waits, within=within)


def throttle(key: KeyOf, per: timedelta | float) -> Unique:
    """Run the first call at once; others within `per` after it get its handle, `duplicate=True`.

    Seconds or timedelta, counted from the first call's enqueueing, whatever became of its task.
    """
    return Unique(key, until=duration(per))


def cached(key: KeyOf, keep: timedelta | float) -> Unique:
    """Run once and keep the result for `keep` (seconds or timedelta) after the task completes.

    While such a task is live or kept, calls get its handle with `duplicate=True`. One that failed
    or was cancelled is not kept: the next call runs. Completed tasks must be retained as long.
    """
    return Unique(key, cached=duration(keep))


def _key_of(what: str, key: KeyOf, task_type: str, arguments: Mapping[str, Any]) -> str:
    if isinstance(key, str):
        try:
            return key.format_map(arguments)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            reason = f"the {what} {key!r} cannot be made of it: {error!r}"
            raise PayloadInvalid(reason, task_type=task_type) from error
    text = key(**arguments)
    if not isinstance(text, str):
        raise DeclarationError(f"the {what} function of {task_type} answered {text!r}, not a text")
    return text


def _check_key(what: str, key: KeyOf, signature: Signature) -> None:
    if isinstance(key, str):
        _check_that_it_tells_no_secret(what, key, signature)
    if not signature.payload_type.__struct_config__.forbid_unknown_fields:
        return  # **others may bring any name
    if isinstance(key, str):
        _check_template(what, key, signature)
    else:
        _check_function(what, key, signature)


def _check_that_it_tells_no_secret(what: str, template: str, signature: Signature) -> None:
    """A key is stored as it is, and shown."""
    secret = {path[0] for path in signature.secrets.payload if path}
    for name in _names(template, what, signature):
        if name in secret or None in secret:
            raise DeclarationError(
                f"the {what} {template!r} of {signature.task_type} names {name!r}, which is or "
                "holds a secret, and keys are stored and shown as they are: leave it out, or give "
                "a function that makes the key of other values"
            )


def _names(template: str, what: str, signature: Signature) -> list[str]:
    try:
        return list(_fields(template))
    except ValueError as error:
        raise DeclarationError(
            f"the {what} {template!r} of {signature.task_type} is not a template: {error}"
        ) from error


def _check_template(what: str, template: str, signature: Signature) -> None:
    for name in _names(template, what, signature):
        if name not in signature.parameters:
            known = ", ".join(signature.parameters) or "none"
            raise DeclarationError(
                f"the {what} {template!r} of {signature.task_type} names {name!r}, which is "
                f"no argument (its arguments: {known})"
            )


def _fields(template: str) -> Iterator[str]:
    """The arguments that a format template names, also inside its format specifications."""
    for _, field, specification, _ in string.Formatter().parse(template):
        if field is not None:
            yield re.split(r"[.\[]", field, maxsplit=1)[0]
            yield from _fields(specification or "")


def _check_function(what: str, key: Callable[..., str], signature: Signature) -> None:
    try:
        inspect.signature(key).bind(**dict.fromkeys(signature.parameters))
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        raise DeclarationError(
            f"the {what} function of {signature.task_type} is called with all arguments by "
            f"name ({takes}) and cannot take them: {error}; **others takes what it does not need"
        ) from error
