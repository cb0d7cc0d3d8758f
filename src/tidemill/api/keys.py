"""API keys: make, list, revoke; and who asks."""

from datetime import timedelta
from typing import Annotated, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from tidemill.access import Access, Scope, Tenant
from tidemill.api.auditing import Change
from tidemill.api.bodies import Rate
from tidemill.api.limits import Label, Name
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.app.credentials import ApiKey
from tidemill.errors import Forbidden
from tidemill.interface.keys import CallerRecord, KeyRecord, KeysRecord, NewKeyRecord
from tidemill.queue import parsed_rate, rate_text

TAG: Final = "access"
Lifetime = Annotated[float, Meta(gt=0, le=100 * 366 * 86_400, description="In seconds.")]
Scopes = Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))]


class CreateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make. `expires` is after how many seconds it is good no more; null never.

    With `user_id` or `project_id` it sees the tasks of these only. `rate` is how often it may ask.
    """

    name: Name
    scopes: Scopes
    user_id: Label | None = None
    project_id: Label | None = None
    expires: Lifetime | None = None
    rate: Rate | None = None


@route("GET", "/keys", tag=TAG, scope=Scope.ADMIN, tenants=False, answers={200: KeysRecord})
async def list_keys(call: Call[Nothing, Nothing]) -> Answer:
    """List the API keys, also those that have expired."""
    found = await call.app.keys.list()
    return Answer(KeysRecord(tuple(key_record(each) for each in found)))


@route(
    "POST",
    "/keys",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={201: NewKeyRecord},
)
async def create_key(call: Call[Nothing, CreateKey]) -> Answer:
    """Make an API key, with scopes that the caller has; the answer shows it this once."""
    body = call.body
    for each in body.scopes:
        if not call.access.may(each):
            raise Forbidden(each)
    made = await call.app.keys.create(
        body.name,
        body.scopes,
        tenant=Tenant(body.user_id, body.project_id),
        expires=None if body.expires is None else timedelta(seconds=body.expires),
        rate=None if body.rate is None else parsed_rate(body.name, body.rate),
    )
    record = key_record(made.key)
    return Answer(
        NewKeyRecord(key=made.text, record=record),
        headers={"Location": call.address(f"/keys/{record.id}")},
        change=Change(subject={"key_id": record.id}, after=msgspec.to_builtins(record)),
    )


@route(
    "DELETE",
    "/keys/{key_id}",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={204: None},
    problems=(404,),
)
async def revoke_key(call: Call[Nothing, Nothing]) -> Answer:
    """Revoke an API key: it is refused within a second everywhere."""
    revoked = await call.app.keys.revoke(call.named("key_id"))
    return Answer(change=Change(before=msgspec.to_builtins(key_record(revoked))))


@route("GET", "/me", tag=TAG, scope=Scope.VIEW, tenants=True, answers={200: CallerRecord})
async def get_me(call: Call[Nothing, Nothing]) -> Answer:
    """Tell who asks, and what they may do."""
    return Answer(caller_record(call.access))


def key_record(key: ApiKey) -> KeyRecord:
    """A key as it is shown."""
    return KeyRecord(
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        user_id=key.tenant.user_id,
        project_id=key.tenant.project_id,
        rate=None if key.rate is None else rate_text(key.rate),
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )


def caller_record(access: Access) -> CallerRecord:
    """What a caller may know of themselves."""
    return CallerRecord(
        who=access.who,
        scopes=tuple(each for each in Scope if access.may(each)),
        user_id=access.tenant.user_id,
        project_id=access.tenant.project_id,
        rate=None if access.rate is None else rate_text(access.rate),
    )


HANDLERS: list[HTTPRouteHandler] = [list_keys, create_key, revoke_key, get_me]
