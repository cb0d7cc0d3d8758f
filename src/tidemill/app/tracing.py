"""What a tracer is told of: tasks that are sent, and batches that run. Single runs it wraps itself.

`tidemill.observe.tracing` has the one that there is. An application without one asks for it in vain
once per call of the engine, and once per batch.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tidemill.task import Claim, NewTask

CallBatch = Callable[[], Awaitable[Any]]


class Tracing(Protocol):
    """Carries the context of a trace with tasks."""

    def sending(self, tasks: Sequence[NewTask]) -> AbstractContextManager[list[NewTask]]:
        """Around the sending of tasks: gives them with the context in their headers."""
        ...

    def carried(self) -> Mapping[str, str]:
        """The context here, as headers of a task that is sent elsewhere; empty without one."""
        ...

    async def handling(self, claims: Sequence[Claim], call_batch: CallBatch) -> Any:
        """Around the call that handles a batch; answers what it answers."""
        ...

    def flush(self) -> None:
        """Hand on what was recorded: this process may end without asking again. May block."""
        ...
