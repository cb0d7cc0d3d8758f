"""API keys: `app.keys`."""

import asyncio
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from tidemill.access import EVERYONE, Access, Scope, Tenant
from tidemill.app.credentials.secrets import Known, digest_of, new_secret
from tidemill.engine import Document, Put
from tidemill.errors import ConfigError, NotFound, TidemillError
from tidemill.ids import is_name
from tidemill.rates import Rate

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

KIND: Final = "api_key"
"""The kind of the documents, by the digest of the key."""

PREFIX: Final = "tidemill"
ID_BYTES: Final = 5
USE_NOTED_EVERY: Final = timedelta(minutes=1)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an API key: everything but the key.

    `id` is the part of the key by which it is recognised. `tenant` is whose tasks it sees, `rate`
    how often it may ask; None does not restrict. `last_used_at` is right to a minute or so.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    tenant: Tenant = EVERYONE
    rate: Rate | None = None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at

    @property
    def access(self) -> Access:
        """What it proves."""
        return Access(
            who=f"key:{self.name}",
            subject=f"key:{self.id}",
            scopes=frozenset(self.scopes),
            tenant=self.tenant,
            rate=self.rate,
        )


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made. `text` is the key itself, which nobody can read again."""

    text: str
    key: ApiKey

    def __repr__(self) -> str:
        """Without the key: this may land in a log."""
        return f"NewKey({self.key!r})"


Listed = list[ApiKey]

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(ApiKey)


class ApiKeys:
    """The API keys of an application's engine.

    The engine keeps their digests, so that whoever reads its store cannot use them. A revoked key
    is refused at once in the process that revoked it, within a second in others.
    """

    def __init__(self, app: "Tidemill") -> None:
        self._app = app
        self._known = Known()
        self._writing: set[asyncio.Task[None]] = set()

    async def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        tenant: Tenant = EVERYONE,
        expires: timedelta | None = None,
        rate: Rate | None = None,
    ) -> NewKey:
        """Make a key that is good for so long, or until it is revoked.

        `name` says what it is for; several keys may have the same. Raises `ConfigError`.
        """
        if not is_name(name):
            raise ConfigError(f"{name!r} cannot name a key: 1-200 of A-Z a-z 0-9 _ . : -")
        if not scopes:
            raise ConfigError(f"the key {name} needs a scope: {', '.join(Scope)}")
        if expires is not None and expires <= timedelta():
            raise ConfigError(f"the key {name} would have expired already: {expires}")
        engine = await self._app.engine()
        now = (await engine.marks(())).at
        key = ApiKey(
            id=secrets.token_hex(ID_BYTES),
            name=name,
            scopes=tuple(each for each in Scope if each in scopes),
            tenant=tenant,
            rate=rate,
            created_at=now,
            expires_at=None if expires is None else _after(now, expires, name),
        )
        text = f"{PREFIX}_{key.id}_{new_secret()}"
        await engine.put([Put(KIND, digest_of(text.encode()), _encode(key), 0)])
        return NewKey(text, key)

    async def list(self) -> Listed:
        """All keys, the oldest first, also those that have expired."""
        engine = await self._app.engine()
        found = [_read(each) for each in await engine.documents(KIND)]
        return sorted((each for each in found if each), key=lambda each: each.created_at)

    async def revoke(self, key_id: str) -> ApiKey:
        """Take a key away for good; answers what it was. Raises `NotFound`."""
        engine = await self._app.engine()
        for document in await engine.documents(KIND):
            key = _read(document)
            if key is not None and key.id == key_id:
                await engine.put([Put(KIND, document.key, None)])
                self._known.forget(document.key)
                return key
        raise NotFound(f"there is no API key with the id {key_id!r}")

    async def any_valid(self) -> bool:
        """Whether there is a key that has not expired."""
        engine = await self._app.engine()
        now = (await engine.marks(())).at
        return any(each.valid(now) for each in await self.list())

    def known(self, digest: str) -> Access | None:
        """What a key proves that was good a moment ago; asks nobody."""
        return self._known.access(digest)

    async def look_up(self, digests: Sequence[str]) -> Sequence[Access | None]:
        """What keys prove, by their digests; None for each that is not good.

        Two calls of the engine, whatever they are and however many. That a key was used is noted
        later, at most once a minute.
        """
        engine = await self._app.engine()
        changes = self._known.changes
        found = await engine.get(KIND, digests)
        now = (await engine.marks(())).at
        answers: list[Access | None] = []
        used: list[Put] = []
        for document in found:
            key = None if document is None else _read(document)
            if document is None or key is None or not key.valid(now):
                answers.append(None)
                continue
            self._known.note(document.key, key.access, changes)
            answers.append(key.access)
            if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
                body = _encode(msgspec.structs.replace(key, last_used_at=now))
                used.append(Put(KIND, document.key, body, document.version))
        if used:
            self._note_use(used)
        return answers

    def _note_use(self, puts: Sequence[Put]) -> None:
        writing = asyncio.get_running_loop().create_task(self._write(puts))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, puts: Sequence[Put]) -> None:
        """Bound to the version that was read, so that no revoked key comes back."""
        try:
            engine = await self._app.engine()
            await engine.put(puts)
        except TidemillError:
            return  # the next look-up notes it


def _after(now: datetime, wait: timedelta, name: str) -> datetime:
    try:
        return now + wait
    except OverflowError as error:
        raise ConfigError(f"the key {name} would expire too far away: {wait}") from error


def _read(document: Document) -> ApiKey | None:
    """A key; None for what this version cannot read: it opens nothing."""
    try:
        return _decoder.decode(document.body)
    except msgspec.DecodeError:
        return None
