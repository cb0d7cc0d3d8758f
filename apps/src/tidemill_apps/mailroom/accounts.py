"""Users, and their mailboxes on IMAP servers with sealed passwords."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec
from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import NotFound, Permanent
from tidemill.sealing import Keyring
from tidemill_apps.mailroom import tables
from tidemill_apps.services.database import insert_if_absent, utc_now

Security: TypeAlias = Literal["tls", "starttls", "none"]
AccountState: TypeAlias = Literal["active", "auth_failed", "paused"]

PORTS: Final = {"tls": 993, "starttls": 143, "none": 143}
_PREFIX: Final = "tmr_"


class NewAccount(msgspec.Struct, frozen=True):
    """A mailbox to sync; `port` None takes that of the security."""

    host: str
    username: str
    password: str
    security: Security = "tls"
    port: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no server could be asked with."""
        for name in ("host", "username", "password"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} must not be empty")
        if self.port is not None and not 0 < self.port < 65536:
            raise ValueError(f"port {self.port} is not within 1..65535")

    def __repr__(self) -> str:
        """Everything but the password."""
        return f"NewAccount({self.username} at {self.host})"


class Account(msgspec.Struct, frozen=True):
    """A mailbox as everybody may see it: without its password."""

    id: str
    user_id: str
    host: str
    port: int
    security: Security
    username: str
    state: AccountState
    reason: str | None
    synced_at: datetime | None


class WithPassword(msgspec.Struct, frozen=True):
    """A mailbox and what opens it; show it to nobody."""

    account: Account
    password: str

    def __repr__(self) -> str:
        """The account alone."""
        return f"WithPassword({self.account!r}, password=…)"


async def user_named(session: AsyncSession, name: str) -> str:
    """The id of the user of this name, who is made if there is none."""
    row = {"id": str(uuid.uuid4()), "name": name, "created_at": utc_now()}
    await insert_if_absent(session, tables.users, row)
    found = await session.execute(select(tables.users.c.id).where(tables.users.c.name == name))
    return str(found.scalar_one())


async def new_token(session: AsyncSession, user_id: str) -> str:
    """A token by which the HTTP API knows a user; the one before it is none any more."""
    token = _PREFIX + secrets.token_urlsafe(32)
    await session.execute(
        update(tables.users).where(tables.users.c.id == user_id).values(token_sha256=_hash(token))
    )
    return token


async def user_of(session: AsyncSession, token: str) -> str | None:
    """The id of the user whose token it is; looked up by its hash."""
    found = await session.execute(
        select(tables.users.c.id).where(tables.users.c.token_sha256 == _hash(token))
    )
    return found.scalar_one_or_none()


async def add_account(
    session: AsyncSession, keyring: Keyring, user_id: str, new: NewAccount
) -> Account:
    """Keep a mailbox; one that is there already gets the new password and is active again."""
    port = new.port or PORTS[new.security]
    columns = tables.accounts.c
    row = {
        "id": str(uuid.uuid4()),
        "user_id": user_id,
        "host": new.host.strip().lower(),
        "port": port,
        "security": new.security,
        "username": new.username,
        "password": "",
        "state": "active",
        "created_at": utc_now(),
    }
    await insert_if_absent(session, tables.accounts, row)
    same = (
        (columns.user_id == user_id)
        & (columns.host == row["host"])
        & (columns.port == port)
        & (columns.username == new.username)
    )
    account_id = str((await session.execute(select(columns.id).where(same))).scalar_one())
    sealed = keyring.seal_text(new.password, _seal_place(account_id))
    changed = {"password": sealed, "state": "active", "reason": None, "security": new.security}
    await session.execute(update(tables.accounts).where(columns.id == account_id).values(**changed))
    return (await accounts_of(session, user_id, account_id))[0]


async def accounts_of(
    session: AsyncSession, user_id: str | None = None, account_id: str | None = None
) -> list[Account]:
    """Mailboxes, oldest first: of all users, of one user, or only one of theirs."""
    wanted = select(tables.accounts).order_by(tables.accounts.c.created_at, tables.accounts.c.id)
    if user_id is not None:
        wanted = wanted.where(tables.accounts.c.user_id == user_id)
    if account_id is not None:
        wanted = wanted.where(tables.accounts.c.id == account_id)
    return [_account(row) for row in (await session.execute(wanted)).all()]


async def account_with_password(
    session: AsyncSession, keyring: Keyring, user_id: str, account_id: str
) -> WithPassword:
    """A mailbox with its password; `Permanent` when it is not this user's, or does not open."""
    wanted = select(tables.accounts).where(
        tables.accounts.c.id == account_id, tables.accounts.c.user_id == user_id
    )
    row = (await session.execute(wanted)).first()
    if row is None:
        raise Permanent(f"user {user_id} has no account {account_id}", code="forbidden")
    account = _account(row)
    password = keyring.open_text(row.password, _seal_place(account_id))
    if not row.password.startswith("encrypted:") or password.startswith("(encrypted with"):
        raise Permanent(
            f"the password of {account.username} at {account.host} cannot be read: "
            "give the account its password again, or configure the key that sealed it",
            code="password_unreadable",
        )
    return WithPassword(account, password)


async def remove_account(session: AsyncSession, user_id: str, account_id: str) -> None:
    """Forget a mailbox, its password and how far it is synced; its mails stay.

    `NotFound` if it is not the user's.
    """
    columns = tables.accounts.c
    same = (columns.id == account_id) & (columns.user_id == user_id)
    removed = await session.execute(delete(tables.accounts).where(same).returning(columns.id))
    if removed.first() is None:
        raise NotFound(f"user {user_id} has no account {account_id}")


async def set_state(
    session: AsyncSession, account_id: str, state: AccountState, reason: str | None = None
) -> None:
    """Say how a mailbox does; `reason` is for its user."""
    same = tables.accounts.c.id == account_id
    await session.execute(update(tables.accounts).where(same).values(state=state, reason=reason))


async def say_synced(session: AsyncSession, account_id: str) -> None:
    """Keep when an account was synced, and leave its state: it may have been paused meanwhile."""
    same = tables.accounts.c.id == account_id
    await session.execute(update(tables.accounts).where(same).values(synced_at=utc_now()))


def active(accounts: Sequence[Account]) -> list[Account]:
    """Those that are to be synced."""
    return [each for each in accounts if each.state == "active"]


def _account(row: Row[tuple[object, ...]]) -> Account:
    return msgspec.convert(row._mapping, Account, from_attributes=True, strict=False)  # noqa: SLF001  # SQLAlchemy's public name


def _seal_place(account_id: str) -> bytes:
    return f"mailroom account {account_id}".encode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
