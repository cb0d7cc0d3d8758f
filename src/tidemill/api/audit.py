"""The audit: who changed what."""

from typing import Annotated, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from tidemill.access import Scope
from tidemill.api.limits import Instant, Label, checked_instants
from tidemill.api.records.audit import audit_records
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.app.audit import MOST
from tidemill.interface.audit import AuditRecords

TAG: Final = "audit"
Limit = Annotated[int, Meta(ge=1, le=MOST, description="Entries at most.")]


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which changes: from `since` until before `until`, by whom, by which operation."""

    since: Instant | None = None
    until: Instant | None = None
    who: Label | None = None
    action: Label | None = None
    limit: Limit = 100

    def __post_init__(self) -> None:
        """Refuse instants that cannot be counted with."""
        checked_instants(self.since, self.until)


@route(
    "GET",
    "/audit",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: AuditRecords},
    headers=("If-None-Match",),
)
async def list_audit(call: Call[AuditFilter, Nothing]) -> Answer:
    """List who changed what, the newest first."""
    wanted = call.query
    found = await call.app.audit.list(
        wanted.since, wanted.until, who=wanted.who, action=wanted.action, limit=wanted.limit
    )
    return Answer(audit_records(found))


HANDLERS: list[HTTPRouteHandler] = [list_audit]
