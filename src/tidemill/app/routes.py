"""Which queue a task goes to when its task type names none."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from tidemill.errors import ConfigError
from tidemill.ids import is_name


class Routes(msgspec.Struct, frozen=True):
    """Queues by pattern of the task type's name, `*` and `?` as in file names.

    The first pattern that matches, in the order given, decides.
    """

    patterns: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, routes: Mapping[str, str]) -> "Routes":
        """Check routes and freeze them."""
        for pattern, queue in routes.items():
            if not is_name(queue):
                raise ConfigError(f"the route {pattern!r} leads to {queue!r}, which names no queue")
        return cls(tuple(routes.items()))

    def queue_of(self, task_type: str) -> str | None:
        """The queue that a name is routed to, or None."""
        for pattern, queue in self.patterns:
            if fnmatchcase(task_type, pattern):
                return queue
        return None
