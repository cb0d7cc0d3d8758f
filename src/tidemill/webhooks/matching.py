"""Which webhooks are told of a transition, and what they are told."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tidemill.app.webhook import QUEUE, Webhook, delivery
from tidemill.clock import to_micros
from tidemill.engine import Transition
from tidemill.ids import delivery_id
from tidemill.task import NewTask, Task

OWN: Final = "tidemill."
"""What the names of queues begin with that Tidemill puts tasks of its own into."""

_AS_IT_WAS: Final = frozenset({"removed", "restored"})
"""Causes that do not end a task, whatever state it is in."""


def event_of(entry: Transition) -> str:
    """What a transition is called: `task.failed` for every way to fail, else `task.` and its cause.

    A task that is reclaimed for the last time has failed, one that expired is cancelled.
    """
    ended = entry.state.final and entry.cause not in _AS_IT_WAS
    return f"task.{entry.state if ended else entry.cause}"


def matching(
    entries: Iterable[Transition], webhooks: Sequence[Webhook]
) -> list[tuple[Webhook, Transition]]:
    """Who is to be told of what, but for whose tasks they are.

    Never of what is in Tidemill's own queues: a delivery would be told of by another delivery.
    """
    return [
        (webhook, entry)
        for entry in entries
        if not entry.queue.startswith(OWN)
        for webhook in webhooks
        if _wants(webhook, entry)
    ]


def _wants(webhook: Webhook, entry: Transition) -> bool:
    return (
        event_of(entry) in webhook.events
        and entry.at >= webhook.since
        and (not webhook.queues or entry.queue in webhook.queues)
        and (not webhook.task_types or entry.task_type in webhook.task_types)
    )


def owned(
    pairs: Iterable[tuple[Webhook, Transition]], tasks: Mapping[str, Task]
) -> list[tuple[Webhook, Transition]]:
    """Without those whose webhook is of other users' or projects' tasks.

    A task whose record is gone is nobody's.
    """
    return [
        (webhook, entry)
        for webhook, entry in pairs
        if not webhook.of_tenant or _owns(webhook, tasks.get(entry.task_id))
    ]


def _owns(webhook: Webhook, task: Task | None) -> bool:
    return (
        task is not None
        and webhook.user_id in {None, task.user_id}
        and webhook.project_id in {None, task.project_id}
    )


def delivery_of(webhook: Webhook, entry: Transition) -> NewTask:
    """The task that tells a webhook of a transition: always the same for the two.

    It names the task and says what became of it. Payload, result and error text stay here: who may
    read them asks for them.
    """
    notice = f"{entry.task_id}:{entry.cause}:{entry.attempt}:{to_micros(entry.at)}"
    data = {
        "task_id": entry.task_id,
        "task_type": entry.task_type,
        "queue": entry.queue,
        "state": entry.state,
        "cause": entry.cause,
        "attempt": entry.attempt,
    }
    task_id = delivery_id(webhook.id, notice, QUEUE)
    return delivery(task_id, webhook.id, event_of(entry), entry.at, data)
