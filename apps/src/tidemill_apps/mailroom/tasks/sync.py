"""`email:sync` fetches what is new in mailboxes, `email:sync_all` has that done every 5 minutes."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Annotated, Final

import msgspec

from tidemill import Cancel, Context, Permanent, Snooze, SoftTimeout, Unique
from tidemill_apps.mailroom.accounts import (
    WithPassword,
    account_with_password,
    accounts_of,
    active,
    say_synced,
    set_state,
)
from tidemill_apps.mailroom.app import SYNC, app, mailroom
from tidemill_apps.mailroom.imap import MailServer
from tidemill_apps.mailroom.listeners import LISTENERS
from tidemill_apps.mailroom.retrying import SYNCING
from tidemill_apps.mailroom.store import MailStore
from tidemill_apps.mailroom.syncing import Mailbox, Synced, SyncStep, sync_folder
from tidemill_apps.services.database import utc_now

STEPS: Final = {"account": 2, "connect": 8, "select": 5, "fetch": 83, "done": 2}
TIMEOUT: Final = timedelta(seconds=120)
SOFT_TIMEOUT: Final = timedelta(seconds=100)
FRESH: Final = timedelta(minutes=4)
"""An account that was synced less than this ago is left out by `email:sync_all`."""


def _held(user_id: str, account_id: str | None, folder: str, full: bool) -> str:  # noqa: ARG001, FBT001  # the arguments of the task
    return f"sync:{account_id or f'user:{user_id}'}:{folder}"


@app.task(
    name="email:sync",
    queue=SYNC,
    priority=5,
    timeout=TIMEOUT,
    soft_timeout=SOFT_TIMEOUT,
    retry=SYNCING,
    unique=Unique(_held),
    steps=STEPS,
)
async def email_sync(
    ctx: Context,
    user_id: str,
    account_id: str | None = None,
    folder: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] = "INBOX",
    full: bool = False,  # noqa: FBT001, FBT002  # a field of the payload
) -> Synced | Snooze | Cancel:
    """Store what is new in a folder of an account, or of each of the user's accounts.

    `full` fetches all mails again; none is stored twice. Each batch that is stored stays stored:
    a sync that takes longer than its time goes on in another run, and tells the numbers of the
    last one; a full one begins anew, so give it a longer timeout where the folder is large. A
    server that takes the password no more makes the account `auth_failed`, and nothing asks that
    server again until the account is active again.
    """
    if account_id is None:
        return await _sync_each(ctx, user_id, folder, full=full)
    room = ctx.use(mailroom)
    ctx.step("account", 1)
    async with room.database.reading() as session:
        opened = await account_with_password(session, room.keyring, user_id, account_id)
    if opened.account.state != "active":
        reason = opened.account.reason
        return Cancel(f"the account is {opened.account.state}" + (f": {reason}" if reason else ""))
    stored = 0

    def told(step: SyncStep) -> Awaitable[None]:
        nonlocal stored
        stored = step.done
        return ctx.step(step.name, step.done, step.total)

    try:
        synced = await sync_folder(
            room.database,
            MailStore(room.database, room.outbox, room.files, LISTENERS),
            _mailbox(opened, folder),
            told,
            full=full,
            allow_private=room.place.mailroom.sync.allow_private,
        )
    except SoftTimeout:
        if full or not stored:
            raise
        return Snooze(timedelta(), f"{stored} mails were stored in time")
    except Permanent as error:
        if error.code == "auth_failed":
            async with room.database.writing() as session:
                await set_state(session, account_id, "auth_failed", error.reason)
        raise
    async with room.database.writing() as session:
        await say_synced(session, account_id)
    ctx.step("done", 1)
    return synced


@app.task(name="email:sync_all", queue=SYNC, priority=5, timeout=60, retry=SYNCING, unique="all")
async def email_sync_all(ctx: Context) -> int:
    """Have the inbox of each active account synced; answers how many.

    Left out are those that were synced less than `FRESH` ago. An account whose last sync still
    runs gets no second one.
    """
    room = ctx.use(mailroom)
    async with room.database.reading() as session:
        accounts = active(await accounts_of(session))
    before = utc_now() - FRESH
    due = [each for each in accounts if each.synced_at is None or each.synced_at < before]
    for each in due:
        ctx.enqueue(email_sync.options(user_id=each.user_id).call(each.user_id, each.id))
    return len(due)


app.schedule("email:sync_all", email_sync_all, cron="*/5 * * * *")


async def _sync_each(ctx: Context, user_id: str, folder: str, *, full: bool) -> Synced:
    """Sync each of a user's accounts, as tasks of their own."""
    async with ctx.use(mailroom).database.reading() as session:
        # also those that are not active: this begins anew after its children, and the same calls
        # have to come in the same order
        accounts = await accounts_of(session, user_id)
    theirs = email_sync.options(user_id=user_id)
    calls = [theirs.call(user_id, each.id, folder, full) for each in accounts]
    results = await ctx.gather(*calls, fail=False)
    done = [each for each in results if each is not None]
    return Synced(
        fetched=sum(each.fetched for each in done),
        new=sum(each.new for each in done),
        duplicate=sum(each.duplicate for each in done),
        malformed=sum(each.malformed for each in done),
        unsynced=tuple(
            account.id for account, result in zip(accounts, results, strict=True) if result is None
        ),
    )


def _mailbox(opened: WithPassword, folder: str) -> Mailbox:
    account = opened.account
    server = MailServer(
        account.host, account.port, account.security, account.username, opened.password
    )
    return Mailbox(server, account.user_id, account.id, folder)
