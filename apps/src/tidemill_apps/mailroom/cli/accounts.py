"""`mailroom account`: the mailboxes that are synced."""

import getpass
import sys
from argparse import Namespace

from tidemill import ConfigError, NotFound
from tidemill_apps.mailroom.accounts import (
    Account,
    NewAccount,
    accounts_of,
    add_account,
    remove_account,
)
from tidemill_apps.mailroom.cli.output import show, show_one
from tidemill_apps.mailroom.cli.session import Session

_COLUMNS = ("account", "username", "host", "port", "security", "state", "synced_at", "reason")
_SHORT = 8


async def add(session: Session, said: Namespace) -> int:
    """Keep a mailbox; its password is asked for, or is the first line of standard input."""
    new = NewAccount(
        host=said.host,
        username=said.username,
        password=_password(session, said),
        security=said.security,
        port=said.port,
    )
    async with session.opened() as mailroom:
        user_id = await session.new_user_id(mailroom)
        async with mailroom.database.writing() as writing:
            account = await add_account(writing, mailroom.keyring, user_id, new)
    lines = dict(zip(_COLUMNS, _cells(account), strict=True))
    show_one(session, account, {**lines, "account": account.id})
    return 0


async def listed(session: Session, _: Namespace) -> int:
    """Print the user's mailboxes, without their passwords."""
    async with session.opened() as mailroom, mailroom.database.reading() as reading:
        found = await accounts_of(reading, await session.user_id(mailroom))
    show(session, {"accounts": found}, _COLUMNS, [_cells(each) for each in found])
    return 0


async def remove(session: Session, said: Namespace) -> int:
    """Forget a mailbox and its password; its mails stay."""
    async with session.opened() as mailroom:
        user_id = await session.user_id(mailroom)
        async with mailroom.database.writing() as writing:
            account = account_said(session, await accounts_of(writing, user_id), said.account)
            await remove_account(writing, user_id, account.id)
    show_one(session, {"id": account.id, "removed": True}, {"removed": account.id})
    return 0


def account_said(session: Session, accounts: list[Account], part: str) -> Account:
    """The mailbox with this user name or an id that begins so; `NotFound` when none or several."""
    found = [each for each in accounts if part in (each.username, each.id)]
    found = found or [each for each in accounts if each.id.startswith(part)]
    if len(found) == 1:
        return found[0]
    raise NotFound(session.say("account.several" if found else "account.unknown", account=part))


def _password(session: Session, said: Namespace) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(session.say("account.password", user=said.username, host=said.host))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise ConfigError(session.say("account.no_password"))
    return password


def _cells(account: Account) -> tuple[object, ...]:
    told = [getattr(account, name) for name in _COLUMNS[1:]]
    return account.id[:_SHORT], *told
