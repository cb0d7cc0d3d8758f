"""Routes of contacts, contexts and accounts."""

from typing import Annotated, Final

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tidemill import ConfigError, Conflict, NotFound
from tidemill_apps.mailroom.accounts import Account, NewAccount, accounts_of, add_account
from tidemill_apps.mailroom.api.asking import Asked, asking
from tidemill_apps.mailroom.api.bodies import AccountBody, ContextBody, TaskAsked
from tidemill_apps.mailroom.api.problems import PROBLEMS
from tidemill_apps.mailroom.asking import SYNC, ContextAdded, ask, ask_for_context
from tidemill_apps.mailroom.contexts import NewContext, delete_context
from tidemill_apps.mailroom.reading import (
    ContactLine,
    ContactOrder,
    ContextLine,
    contacts_of,
    contexts_of,
)

Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Offset = Annotated[int, QueryParameter(ge=0, le=1_000_000)]


class Contacts(msgspec.Struct, frozen=True):
    """Some of those who wrote."""

    contacts: tuple[ContactLine, ...]


class Contexts(msgspec.Struct, frozen=True):
    """What the user works on, by name."""

    contexts: tuple[ContextLine, ...]


class Accounts(msgspec.Struct, frozen=True):
    """The user's mailboxes, oldest first."""

    accounts: tuple[Account, ...]


@get("/contacts", responses=PROBLEMS)
async def get_contacts(
    request: Asked, by: FromQuery[ContactOrder] = "mails", limit: Limit = 50, offset: Offset = 0
) -> Contacts:
    """Who wrote: the most mails, the latest or the kindest first."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        found = await contacts_of(session, asked.user_id, order=by, limit=limit, offset=offset)
    return Contacts(tuple(found))


@get("/contexts", responses=PROBLEMS)
async def get_contexts(request: Asked) -> Contexts:
    """What the user works on, and how many mails belong to it."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        return Contexts(tuple(await contexts_of(session, asked.user_id)))


@post("/contexts", responses=PROBLEMS)
async def post_context(request: Asked, data: JSONBody[ContextBody]) -> ContextAdded:
    """Keep a context; a task links the mails to it that are there already."""
    asked = asking(request)
    try:
        new = NewContext(data.name, data.keywords, data.stakeholders)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return await ask_for_context(asked.app, asked.mailroom, asked.user_id, new)


@delete("/contexts/{context_id:str}", responses=PROBLEMS)
async def remove_context(request: Asked, context_id: FromPath[str]) -> None:
    """Forget a context; its mails stay."""
    asked = asking(request)
    async with asked.mailroom.database.writing() as session:
        await delete_context(session, asked.user_id, context_id)


@get("/accounts", responses=PROBLEMS)
async def get_accounts(request: Asked) -> Accounts:
    """The user's mailboxes, without their passwords."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        return Accounts(tuple(await accounts_of(session, asked.user_id)))


@post("/accounts", responses=PROBLEMS)
async def post_account(request: Asked, data: JSONBody[AccountBody]) -> Account:
    """Keep a mailbox; one that is there already gets the password and is active again."""
    asked = asking(request)
    try:
        new = NewAccount(**msgspec.structs.asdict(data))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    mailroom = asked.mailroom
    async with mailroom.database.writing() as session:
        return await add_account(session, mailroom.keyring, asked.user_id, new)


@post("/accounts/{account_id:str}/sync", status_code=202, responses=PROBLEMS)
async def sync_account(request: Asked, account_id: FromPath[str]) -> TaskAsked:
    """Have what is new in a mailbox fetched; 409 for one that is not active."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        found = await accounts_of(session, asked.user_id, account_id)
    if not found:
        raise NotFound(f"there is no account {account_id}")
    (account,) = found
    if account.state != "active":
        reason = f": {account.reason}" if account.reason else ""
        raise Conflict(f"the account is {account.state}{reason}; give it its password again")
    handle = await ask(asked.app, SYNC, asked.user_id, account_id=account.id)
    return TaskAsked(handle.id, handle.duplicate)


HANDLERS: Final = (
    get_contacts,
    get_contexts,
    post_context,
    remove_context,
    get_accounts,
    post_account,
    sync_account,
)
