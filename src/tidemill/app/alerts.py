"""The operations on alerts: `app.alerts`."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from tidemill.alert import RULES, AlertLevel, Silence, Standing
from tidemill.app import statistics
from tidemill.engine import Document, Put
from tidemill.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

ALERT: Final = "alert"
"""The kind of the documents that say how a rule stands about a subject, by `rule/subject`."""

SILENCE: Final = "silence"
"""The kind of the documents that keep alerts from being told, by id."""


class AlertInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is not fine about a subject.

    `level` is that of the readings `since` an instant, `value` the reading that brought it there;
    `told` is the level that was told.
    """

    rule: str
    subject: str
    level: AlertLevel
    value: float
    since: datetime
    told: AlertLevel
    silenced: bool


Listed = list[AlertInfo]


class Alerts:
    """What the rules say, and silences; the rules themselves are settings."""

    def __init__(self, app: "Tidemill") -> None:
        self._app = app

    async def list(self) -> Listed:
        """What is not fine, or was told and has not been told to be over; the worst first."""
        engine = await self._app.engine()
        now = await statistics.now(engine)
        silent = silences(await engine.documents(SILENCE))
        found = []
        for each in await engine.documents(ALERT):
            rule, _, subject = each.key.partition("/")
            try:
                standing = msgspec.json.decode(each.body, type=Standing)
            except msgspec.DecodeError:
                continue  # another version of Tidemill wrote it
            if standing.seen or standing.told:
                found.append(_info(rule, subject, standing, silent, now))
        return sorted(
            found, key=lambda info: (-max(info.level, info.told), info.rule, info.subject)
        )

    async def silence(
        self,
        rule: str | None = None,
        subject: str | None = None,
        *,
        lasting: timedelta,
        by: str = "",
        reason: str = "",
    ) -> Silence:
        """Tell nothing about a rule, a subject, or both, for a while; None stands for any.

        What still holds when it ends is told then. Raises `ConfigError` for an unknown rule.
        """
        known = [each.name for each in RULES]
        if rule is not None and rule not in known:
            raise ConfigError(f"no alert rule is called {rule!r} (there: {', '.join(known)})")
        if lasting <= timedelta():
            raise ConfigError(f"a silence of {lasting} would be over at once: give it some time")
        engine = await self._app.engine()
        now = await statistics.now(engine)
        made = Silence(
            id=uuid.uuid4().hex[:12],
            rule=rule,
            subject=subject,
            until=now + lasting,
            by=by,
            reason=reason,
        )
        old = await engine.documents(SILENCE)
        over = [Put(SILENCE, each.id, None) for each in silences(old) if each.until <= now]
        await engine.put([Put(SILENCE, made.id, msgspec.json.encode(made)), *over])
        return made

    async def silences(self) -> Sequence[Silence]:
        """The silences that hold, the one that ends first before the others."""
        engine = await self._app.engine()
        now = await statistics.now(engine)
        found = silences(await engine.documents(SILENCE))
        return sorted((each for each in found if each.until > now), key=lambda each: each.until)

    async def unsilence(self, silence_id: str) -> None:
        """End a silence now; raises `NotFound`."""
        engine = await self._app.engine()
        if (await engine.get(SILENCE, [silence_id]))[0] is None:
            raise NotFound(f"there is no silence {silence_id!r}")
        await engine.put([Put(SILENCE, silence_id, None)])


def silences(documents: Iterable[Document]) -> list[Silence]:
    """The silences of documents; what another version of Tidemill wrote otherwise is left out."""
    found = []
    for each in documents:
        try:
            found.append(msgspec.json.decode(each.body, type=Silence))
        except msgspec.DecodeError:
            continue
    return found


def _info(
    rule: str, subject: str, standing: Standing, silent: Iterable[Silence], now: datetime
) -> AlertInfo:
    return AlertInfo(
        rule=rule,
        subject=subject,
        level=standing.seen,
        value=standing.value,
        since=standing.seen_at,
        told=standing.told,
        silenced=any(each.covers(rule, subject, now) for each in silent),
    )
