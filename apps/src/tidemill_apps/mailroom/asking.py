"""Asking for the mailroom's tasks on behalf of a user, and whether anybody will run them."""

from typing import Any, Final

import msgspec

from tidemill import Handle, Tidemill
from tidemill_apps.mailroom.contexts import NewContext, SmartContext, add_context
from tidemill_apps.mailroom.labels import Label, label
from tidemill_apps.mailroom.opening import Mailroom

ANALYZE: Final = "email:analyze"
SYNC: Final = "email:sync"
REINDEX: Final = "email:reindex"
BACKFILL: Final = "context:backfill"
TRAIN: Final = "spam:train"

WORKER: Final = "tidemill -A tidemill_apps.mailroom.tasks:app up"
"""The command that starts a worker."""


class ContextAdded(msgspec.Struct, frozen=True):
    """A new context, and the task that links the mails to it that are there already."""

    context: SmartContext
    task_id: str


async def ask(app: Tidemill, task_type: str, user_id: str, **payload: object) -> Handle[Any]:
    """Enqueue a task that is found as this user's.

    Where its unique key is held, the handle is the holder's, with `duplicate=True`.
    """
    function = app.function(task_type).options(user_id=user_id)
    return await function.enqueue(user_id=user_id, **payload)


async def ask_for_context(
    app: Tidemill, mailroom: Mailroom, user_id: str, new: NewContext
) -> ContextAdded:
    """Keep a context, and have its mails linked: both, or neither; `Conflict` as `add_context`."""
    backfill = app.function(BACKFILL).options(user_id=user_id)
    async with mailroom.database.writing() as session:
        context = await add_context(session, user_id, new)
        call = backfill.call(user_id=user_id, context_id=context.id)
        task_id = await mailroom.outbox.enqueue_after_commit(session, call)
    return ContextAdded(context, task_id)


async def ask_with_label(
    app: Tidemill, mailroom: Mailroom, user_id: str, mail_id: str, called: Label | None
) -> str:
    """Keep what a user calls a mail, and have it judged again; answers the id of that task.

    Both, or neither; `NotFound` as `label`.
    """
    analysis = app.function(ANALYZE).options(user_id=user_id)
    async with mailroom.database.writing() as session:
        await label(session, user_id, mail_id, called)
        call = analysis.call(email_id=mail_id, user_id=user_id)
        return await mailroom.outbox.enqueue_after_commit(session, call)


async def is_served(app: Tidemill, task_type: str) -> bool:
    """Whether a live worker runs tasks of this type; one that has just started is heard of soon."""
    queue = app.queue_of(task_type)
    return any(
        each.live and task_type in each.worker.task_types and each.worker.serves(queue)
        for each in await app.workers()
    )
