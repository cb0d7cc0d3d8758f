"""Alerts: what is not fine, and silences."""

from datetime import timedelta
from typing import Annotated

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from tidemill.access import Scope
from tidemill.api.limits import Label, Sentence
from tidemill.api.records.alerts import alerts_record, silence_record, silences_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.interface.alerts import AlertsRecord, SilenceRecord, SilencesRecord

TAG = "alerts"
Lasting = Annotated[float, Meta(gt=0, le=366 * 86_400, description="Seconds.")]


class CreateSilence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell nothing about a rule, a subject or both for some seconds; null stands for any."""

    seconds: Lasting
    rule: Label | None = None
    subject: Label | None = None
    reason: Sentence = ""


@route(
    "GET",
    "/alerts",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: AlertsRecord},
    headers=("If-None-Match",),
)
async def list_alerts(call: Call[Nothing, Nothing]) -> Answer:
    """List what is not fine, the worst first."""
    return Answer(alerts_record(await call.app.alerts.list()))


@route(
    "GET",
    "/alerts/silences",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: SilencesRecord},
    headers=("If-None-Match",),
)
async def list_silences(call: Call[Nothing, Nothing]) -> Answer:
    """List the silences that hold."""
    return Answer(silences_record(await call.app.alerts.silences()))


@route(
    "POST",
    "/alerts/silences",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=False,
    answers={201: SilenceRecord},
)
async def create_silence(call: Call[Nothing, CreateSilence]) -> Answer:
    """Tell nothing for a while; what still holds when it ends is told then."""
    wanted = call.body
    made = await call.app.alerts.silence(
        wanted.rule,
        wanted.subject,
        lasting=timedelta(seconds=wanted.seconds),
        by=call.access.who,
        reason=wanted.reason,
    )
    return Answer(silence_record(made))


@route(
    "DELETE",
    "/alerts/silences/{silence_id}",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=False,
    answers={204: None},
    problems=(404,),
)
async def delete_silence(call: Call[Nothing, Nothing]) -> Answer:
    """End a silence now."""
    await call.app.alerts.unsilence(call.named("silence_id"))
    return Answer()


HANDLERS: list[HTTPRouteHandler] = [list_alerts, list_silences, create_silence, delete_silence]
