"""When an operator is told, decided purely: rules, readings, and what a reading changes.

A rule compares readings with two thresholds. The level that a reading has must hold for the rule's
window before it is told; then it is told once, again only when it gets worse, and once more when it
is over. After that the same level is told again only when the cool-down has passed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

import msgspec

from tidemill.errors import ConfigError


class AlertLevel(IntEnum):
    """How bad it is."""

    FINE = 0
    WARNING = 1
    ALARM = 2


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A reading above `warning` warns, above `alarm` alarms; None leaves that level out.

    `window` is for how long a level must hold before it is told; a rule that `counts` what happens
    counts it over the window instead. `cool_down` is how long after its end the same level is not
    told again. `ignore` names the queues, task types or hosts that it is not about.
    """

    name: str
    warning: float | None
    alarm: float | None
    window: timedelta
    cool_down: timedelta = timedelta(minutes=10)
    ignore: frozenset[str] = frozenset()
    counts: bool = False

    @property
    def holds(self) -> timedelta:
        """For how long a level must hold."""
        return timedelta() if self.counts else self.window

    def threshold(self, level: AlertLevel) -> float | None:
        """What a reading of this level is above, and what one that is fine again is not."""
        return self.alarm if level is AlertLevel.ALARM or self.warning is None else self.warning

    def level(self, value: float) -> AlertLevel:
        """The level of a reading; a threshold itself is still fine."""
        if self.alarm is not None and value > self.alarm:
            return AlertLevel.ALARM
        if self.warning is not None and value > self.warning:
            return AlertLevel.WARNING
        return AlertLevel.FINE


class AlertRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different about a rule; None stays, durations are in seconds.

    `enabled=False` drops the rule, a threshold of infinity (`.inf`) drops its level.
    """

    enabled: bool = True
    warning: float | None = None
    alarm: float | None = None
    window: float | None = None
    cool_down: float | None = None
    ignore: tuple[str, ...] = ()


_MINUTE: Final = timedelta(minutes=1)
_SOON: Final = timedelta(seconds=30)

RULES: Final = (
    Rule(name="task_running", warning=30, alarm=60, window=timedelta()),
    Rule(name="queue_pending", warning=1_000, alarm=5_000, window=_SOON),
    Rule(name="failure_percentage", warning=5, alarm=10, window=5 * _MINUTE, counts=True),
    Rule(name="cpu", warning=80, alarm=90, window=_MINUTE),
    Rule(name="memory", warning=85, alarm=95, window=_MINUTE),
    Rule(name="queue_unserved", warning=None, alarm=0, window=_MINUTE),
    Rule(name="failed_tasks", warning=None, alarm=100, window=timedelta()),
    Rule(name="schedule_late", warning=None, alarm=0, window=timedelta()),
    Rule(name="no_worker", warning=None, alarm=0, window=_MINUTE),
    Rule(name="worker_lost", warning=None, alarm=0, window=timedelta()),
)
"""What is watched unless it is said otherwise.

    task_running         seconds that the longest running task of a type has run
    queue_pending        tasks that are ready and wait, of each queue
    failure_percentage   failed tasks among those that completed or failed, of each queue
    cpu, memory          percent of the machine, of each host
    queue_unserved       ready tasks of a queue from which no live worker claims
    failed_tasks         failed tasks that are kept, of each queue
    schedule_late        seconds that a schedule's instant is overdue, over one minute
    no_worker            1 while work is there and no worker lives
    worker_lost          1 while a worker that did not end in order is remembered
"""

FEWEST: Final = 20
"""Tasks that must have ended in the window before their failures are a percentage."""


def changed(changes: Mapping[str, AlertRule]) -> tuple[Rule, ...]:
    """The rules with these changes; raises `ConfigError` for a name that no rule has."""
    known = sorted(rule.name for rule in RULES)
    for name in changes:
        if name not in known:
            raise ConfigError(f"no alert rule is called {name!r} (there: {', '.join(known)})")
    return tuple(
        _with(rule, changes.get(rule.name, AlertRule()))
        for rule in RULES
        if changes.get(rule.name, AlertRule()).enabled
    )


def _with(rule: Rule, change: AlertRule) -> Rule:
    said = {
        name: value
        for name in ("warning", "alarm", "window", "cool_down", "ignore")
        if (value := getattr(change, name)) not in (None, ())
    }
    for name in ("window", "cool_down"):
        if name in said:
            said[name] = timedelta(seconds=said[name])
            if said[name] < timedelta():
                raise ConfigError(f"alert rule {rule.name}: {name} must not be negative")
    if "ignore" in said:
        said["ignore"] = frozenset(said["ignore"])
    made = msgspec.structs.replace(rule, **said)
    if made.warning is not None and made.alarm is not None and made.warning > made.alarm:
        raise ConfigError(
            f"alert rule {rule.name}: the warning {made.warning:g} must not be above the alarm "
            f"{made.alarm:g}"
        )
    return made


class Reading(msgspec.Struct, frozen=True):
    """A value that a rule is about, of one subject: a queue, a task type, a host, a schedule."""

    rule: str
    subject: str
    value: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one rule stands about one subject.

    `seen` is the level of the readings since `seen_at`; `told` the level that was told last, FINE
    when it is over; `worst` the one told before it was over, at `told_at`.
    """

    seen: AlertLevel = AlertLevel.FINE
    seen_at: datetime
    value: float = 0
    told: AlertLevel = AlertLevel.FINE
    told_at: datetime | None = None
    worst: AlertLevel = AlertLevel.FINE


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is told: `subject` reached a level, or is fine again, `at` an instant."""

    rule: str
    subject: str
    level: AlertLevel
    value: float
    threshold: float | None
    at: datetime


def judged(
    rule: Rule,
    standing: Standing | None,
    reading: Reading,
    now: datetime,
    *,
    silenced: bool = False,
) -> tuple[Standing, Notice | None]:
    """How the rule stands after a reading, and what is told now.

    While it is silenced nothing is told, and nothing counts as told: what still holds when the
    silence ends is told then.
    """
    level, value = rule.level(reading.value), reading.value
    before = standing or Standing(seen_at=now)
    since = before.seen_at if level == before.seen else now
    seen = msgspec.structs.replace(before, seen=level, seen_at=since, value=value)
    if silenced or now - since < rule.holds or not _news(rule, seen, now):
        return seen, None
    told = msgspec.structs.replace(
        seen,
        told=level,
        told_at=now,
        worst=level or before.told,
    )
    notice = Notice(
        rule=rule.name,
        subject=reading.subject,
        level=level,
        value=value,
        threshold=rule.threshold(level),
        at=now,
    )
    return told, notice


def _news(rule: Rule, standing: Standing, now: datetime) -> bool:
    if standing.seen > standing.told:
        quiet = standing.told_at is not None and now - standing.told_at < rule.cool_down
        return not (quiet and standing.told is AlertLevel.FINE and standing.seen <= standing.worst)
    return standing.seen is AlertLevel.FINE and standing.told is not AlertLevel.FINE


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is told about what it covers `until` an instant; a rule or subject of None is any."""

    id: str
    rule: str | None
    subject: str | None
    until: datetime
    by: str
    reason: str = ""

    def covers(self, rule: str, subject: str, now: datetime) -> bool:
        """Whether it keeps a rule from being told about a subject now."""
        return now < self.until and self.rule in {None, rule} and self.subject in {None, subject}


# notices of failed tasks

_GROUPED: Final = (_MINUTE, 5 * _MINUTE, 30 * _MINUTE, timedelta(hours=1))
"""How long to collect failures of one task type before they are told again, growing in a flood."""

_CALM: Final = 5 * _MINUTE
"""After so long without a failure the next one is told at once."""


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """The failures of one task type in one queue, as far as they were told at `told_at`.

    `counted` of the failures in the minute that begins at `since` are told, later ones are not.
    `step` says how long to collect the next ones. `telling` are those that are counted as told and
    are just being told.
    """

    since: datetime
    counted: int = 0
    told_at: datetime | None = None
    step: int = 0
    telling: int = 0


def failures_told(
    standing: Failing, by_minute: Mapping[datetime, int], now: datetime
) -> Failing | None:
    """How it stands by the failures of each minute, with how many are to be told now.

    None: they are all told, and long enough ago to be forgotten.
    """
    if standing.telling:
        return standing
    new = sum(by_minute[at] for at in by_minute if at >= standing.since) - standing.counted
    if standing.told_at is None:
        step = 0
    else:
        passed = now - standing.told_at
        if new <= 0 and passed >= _CALM:
            return None
        if passed < _GROUPED[standing.step]:
            return standing
        step = min(standing.step + 1, len(_GROUPED) - 1)
    if new <= 0:
        return standing
    minute = now.replace(second=0, microsecond=0)
    return Failing(
        since=minute, counted=by_minute.get(minute, 0), told_at=now, step=step, telling=new
    )


class AlertEmail(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts are sent by SMTP; without a `host`, nowhere.

    `encryption` is `starttls`, `tls` or `none`.
    """

    host: str | None = None
    sender: str = "tidemill@localhost"
    to: tuple[str, ...] = ()
    port: int = 587
    username: str | None = None
    password: str | None = None
    encryption: str = "starttls"

    def __post_init__(self) -> None:
        """Refuse an e-mail that would go to nobody."""
        if self.encryption not in {"starttls", "tls", "none"}:
            raise ConfigError(
                f"alerts.email: encryption {self.encryption!r} is none of starttls, tls, none"
            )
        if self.host is not None and not self.to:
            raise ConfigError("alerts.email: to names nobody")


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is watched and who is told.

    Readings are taken each `every` seconds. `rules` change the default ones by name. What is told
    is logged, sent to the webhooks that want alerts, and to `email` where it is given. With
    `failures` the latter two are told of failed tasks too, grouped by task type.
    """

    enabled: bool = True
    every: float = 10
    rules: dict[str, AlertRule] = {}
    email: AlertEmail = AlertEmail()
    failures: bool = True

    def __post_init__(self) -> None:
        """Refuse rules that are not there, where they were written."""
        if self.every <= 0:
            raise ConfigError(f"alerts: every {self.every:g} must be above 0")
        changed(self.rules)
