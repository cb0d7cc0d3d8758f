"""`mailroom sync`, `reindex` and `train`: tasks for a worker."""

import asyncio
from argparse import Namespace
from typing import Any, Final

from tidemill import Handle, TaskCancelledError, TaskFailedError
from tidemill_apps.mailroom.accounts import accounts_of
from tidemill_apps.mailroom.asking import REINDEX, SYNC, TRAIN, WORKER, ask, is_served
from tidemill_apps.mailroom.cli.accounts import account_said
from tidemill_apps.mailroom.cli.output import as_mapping, show_one, text_of
from tidemill_apps.mailroom.cli.session import Session
from tidemill_apps.mailroom.cli.showing import progress
from tidemill_apps.mailroom.cli.telling import note

_EVERY: Final = 0.2


async def sync(session: Session, said: Namespace) -> int:
    """Have a mailbox synced, or all of the user's."""
    async with session.opened() as mailroom:
        user_id = await session.user_id(mailroom)
        async with mailroom.database.reading() as reading:
            accounts = await accounts_of(reading, user_id)
        account = said.account and account_said(session, accounts, said.account).id
        return await _asked(session, said, SYNC, user_id, account_id=account)


async def reindex(session: Session, said: Namespace) -> int:
    """Have the user's mail made findable again, by the model in use."""
    async with session.opened() as mailroom:
        return await _asked(session, said, REINDEX, await session.user_id(mailroom))


async def train(session: Session, said: Namespace) -> int:
    """Have the spam filter learn from what the user called spam and ham."""
    async with session.opened() as mailroom:
        return await _asked(session, said, TRAIN, await session.user_id(mailroom))


async def say_who_works(session: Session, task_type: str) -> None:
    """Tell how to start a worker where none is there for a task."""
    if not await is_served(session.app, task_type):
        note(session.say("worker.none", command=WORKER))


async def _asked(
    session: Session, said: Namespace, task_type: str, user_id: str, **payload: object
) -> int:
    handle = await ask(session.app, task_type, user_id, **payload)
    await say_who_works(session, task_type)
    if not said.wait:
        told = {"task_id": handle.id, "duplicate": handle.duplicate}
        show_one(session, told, {"task": handle.id})
        return 0
    await _ended(session, handle, task_type)
    try:
        result = as_mapping(await handle.result())
    except (TaskFailedError, TaskCancelledError) as error:
        note(session.say("error", text=error))
        return 1
    answer = {"task_id": handle.id, **result}
    if session.form == "json":
        show_one(session, answer, {})
    else:
        print("\n".join(f"{name}: {text_of(value)}" for name, value in answer.items()))
    return 0


async def _ended(session: Session, handle: Handle[Any], title: str) -> None:
    """Wait until a task is final, and tell how far it is meanwhile."""
    with progress(title) as advance:
        while not (state := await handle.state()).final:
            now = await handle.progress()
            doing = session.say(f"state.{state}")
            if now is not None:
                doing = f"{doing}  {now.message or now.step or ''}"
            advance(0.0 if now is None else now.percent / 100, doing)
            await asyncio.sleep(_EVERY)
        advance(1.0, session.say(f"state.{state}"))
