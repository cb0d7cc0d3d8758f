"""What is told, as the payload of the task that tells it."""

from datetime import datetime

import msgspec


class FailuresNotice(msgspec.Struct, frozen=True, kw_only=True):
    """So many tasks of a type failed since the last notice.

    `last` are the ids of the newest ones, a few at most, `errors` the classes of their errors.
    Nothing of a payload, a result or an error's message is in it.
    """

    queue: str
    task_type: str
    count: int
    at: datetime
    last: tuple[str, ...]
    errors: tuple[str, ...]
