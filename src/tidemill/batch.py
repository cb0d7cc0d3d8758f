"""How a batch task type collects its tasks, and what its function must look like."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from tidemill.codec import Codec
from tidemill.context import Context
from tidemill.errors import DeclarationError
from tidemill.outcome import Cancel, Snooze
from tidemill.signature import Signature

MOST = 1_000
"""Tasks in one call: a worker claims that many in one step of the engine, where others wait."""


class Batch(msgspec.Struct, frozen=True):
    """One call of the function handles up to `size` tasks, collected for at most `within`.

    Each task's payload is one `item`. A worker makes up to `concurrency` calls at once.
    """

    item: Callable[..., Any]
    size: int
    within: timedelta
    concurrency: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that nothing could be collected by."""
        if not 1 <= self.size <= MOST:
            raise DeclarationError(f"a batch of size {self.size}: say 1..{MOST:,}")
        if self.within < timedelta(0):
            raise DeclarationError(f"a batch cannot be collected within {self.within}: 0 or more")
        if self.concurrency < 1:
            raise DeclarationError(f"a batch with concurrency {self.concurrency} would never run")

    def signature(self, function: Callable[..., Any], task_type: str, codec: Codec) -> Signature:
        """The fields of the item as parameters, if the function takes a list of items.

        Raises `DeclarationError`.
        """
        signature = Signature.of_items(
            self.item,
            function,
            task_type=task_type,
            not_results=(Snooze, Cancel, BaseException),
            codec=codec,
        )
        hints = get_type_hints(function)
        takes = [each.name for each in inspect.signature(function).parameters.values()]
        if takes and _is_list_of(hints.get(takes[0]), Context):
            takes = takes[1:]
        items = hints.get(takes[0], Any) if len(takes) == 1 else None
        if items not in (Any, list) and not _is_list_of(items, self.item):
            kind = getattr(self.item, "__name__", self.item)
            raise DeclarationError(
                f"{task_type} handles batches: it takes one list[{kind}], and may take a "
                f"list[Context] before it; not ({', '.join(takes)})"
            )
        return signature


def _is_list_of(hint: Any, kind: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(list, origin) and get_args(hint) == (kind,)
