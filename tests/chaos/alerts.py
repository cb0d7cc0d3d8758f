"""Failures, a flood of them and a killed worker under real nodes: each is told, and told once.

A webhook's receiver and a server for mail take what is told. Every node watches.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from tests.alerts.inbox import Inbox
from tests.alerts.inbox import receiving as receiving_mail
from tests.chaos.app import REFUSE
from tests.chaos.facts import until
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.workers import ROOT, WorkerFell
from tests.outbound.receiver import Receiver, receiving
from tidemill import AlertEmail, AlertRule, AlertSettings, WebhookSettings
from tidemill.task import DEFAULT_QUEUE

PERCENTAGE: Final = "failure_percentage"
LOST: Final = "worker_lost"
FLOOD: Final = "flood"
"""The queue that overflows with failures."""

BATCH: Final = 25
REFUSED: Final = 3
"""Tasks of a batch that fail: 12 %, which is above the alarm's 10."""

EVERY: Final = 0.25
"""Seconds between two batches."""

LOOK_EVERY: Final = 0.02
"""Seconds between two looks of a node: so few that several often find the same at the same time."""

HANDFUL: Final = 6
WEBHOOKS: Final = WebhookSettings(allow_networks=("127.0.0.0/8",), allow_http=True)


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it, in seconds: how long tasks fail, the lease, and what may be late beside it.

    The last failures of a flood are told a minute after its first ones.
    """

    workers: int = 3
    flood: int = 10_000
    failing: float = 60.0
    lease: float = 10.0
    late: float = 0.0
    patience: float = 180.0


class Told(NamedTuple):
    """What somebody was told of: a level of a rule about a subject."""

    rule: str
    subject: str
    level: str


@dataclass(frozen=True, slots=True)
class Ears:
    """Where alerts arrive."""

    hooks: Receiver
    inbox: Inbox

    def by_hook(self, kind: str) -> list[dict[str, Any]]:
        """The data of an event, once for each delivery: those repeated have the same id."""
        by_id = {each.headers["webhook-id"]: json.loads(each.body) for each in self.hooks.got}
        return [body["data"] for body in by_id.values() if body["type"] == kind]

    def by_mail(self) -> list[str]:
        """The texts of the mails."""
        return [mail.get_content() for mail in self.inbox.mails]

    def told(self) -> list[Told]:
        """The crossings that the webhook was told, in no order."""
        both = (*self.by_hook("alert.raised"), *self.by_hook("alert.over"))
        return [Told(each["rule"], each["subject"], each["level"]) for each in both]

    def mailed(self) -> list[Told]:
        """The crossings that were mailed."""
        found = [_CROSSING.search(text) for text in self.by_mail()]
        return [Told(each[2], each[3], _LEVELS[each[1]]) for each in found if each]

    def failures(self) -> list[int]:
        """The counts of the flood's failures that the webhook was told."""
        told = self.by_hook("alert.failures")
        return [each["count"] for each in told if each["queue"] == FLOOD]

    def failures_mailed(self) -> list[int]:
        """The same by mail."""
        found = [_FAILURES.search(text) for text in self.by_mail()]
        return [int(each[1].replace(",", "")) for each in found if each and each[2] == FLOOD]


_LEVELS: Final = {"over": "fine", "warning": "warning", "alarm": "alarm"}
_CROSSING: Final = re.compile(
    r"(?s)\A(\w+): .*^rule / 规则: (\S+)\s+subject / 对象: (\S+)", re.MULTILINE
)
_FAILURES: Final = re.compile(
    r"(?s)\A([\d,]+) \S+ tasks? failed .*^queue / 队列: (\S+)", re.MULTILINE
)


async def alerts(
    folder: Path, seed: int, wanted: Alerts, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    with opened(store, folder) as url:
        async with _listening() as (ears, email):
            settings = AlertSettings(every=LOOK_EVERY, email=email, rules=_rules())
            plan: dict[str, Any] = {"lease": wanted.lease, "heartbeat": wanted.lease / 5}
            plan |= {"alerts": settings, "webhooks": WEBHOOKS}
            async with stage(folder, "alerts", url, quiet=quiet, **plan) as on:
                await on.app.webhooks.create(
                    ears.hooks.url(), events=["alert.raised", "alert.over", "alert.failures"]
                )
                command = repeat("alerts", seed, store, wanted)
                return await _run(on, ears, random.Random(seed), wanted, command)


@asynccontextmanager
async def _listening() -> AsyncIterator[tuple[Ears, AlertEmail]]:
    inbox = Inbox()
    async with receiving() as hooks:
        with receiving_mail(inbox) as port:
            yield (
                Ears(hooks, inbox),
                AlertEmail(host="127.0.0.1", port=port, to=("ops@example.org",), encryption="none"),
            )


def _rules() -> dict[str, AlertRule]:
    """The machine's own load is no matter of this; failures are counted over two minutes."""
    machine = {name: AlertRule(enabled=False) for name in ("cpu", "memory")}
    return {**machine, PERCENTAGE: AlertRule(window=120)}


async def _run(on: Stage, ears: Ears, rng: random.Random, wanted: Alerts, command: str) -> Report:
    for _ in range(wanted.workers):
        on.crew.start()
    broken: list[str] = []
    figures = [("nodes that watch", f"{wanted.workers}, one killed")]
    try:
        await until(lambda: all(map(on.crew.is_ready, on.crew.pids)), wanted.patience)
        await on.enqueue([on.new(0.0, name=REFUSE, queue=FLOOD) for _ in range(wanted.flood)])
        begun = time.monotonic()
        broken += await _fail_for_a_while(on, ears, rng, wanted)
        broken += await _lose_one(on, ears, wanted, figures)
        await until(lambda: sum(ears.failures_mailed()) >= wanted.flood, wanted.patience)
        on.crew.check()
        figures.append(("seconds", f"{time.monotonic() - begun:.0f}"))
    except WorkerFell as fell:
        broken.append(str(fell))
    if not await on.drained(wanted.patience, len(on.accepted)):
        broken.append("some of what is to be told was not delivered")
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    return Report("alerts", command, figures + _figures(ears), broken + _judge(ears, wanted))


async def _fail_for_a_while(on: Stage, ears: Ears, rng: random.Random, wanted: Alerts) -> list[str]:
    """Let 12 % of the tasks fail for some time and until it is told, then none until it is over."""
    broken = []
    for level, seconds, failing in (("alarm", wanted.failing, REFUSED), ("fine", 0.0, 0)):
        crossing = Told(PERCENTAGE, DEFAULT_QUEUE, level)
        begun = time.monotonic()
        while crossing not in ears.told() or time.monotonic() - begun < seconds:
            gone = time.monotonic() - begun
            if gone > seconds + wanted.patience:
                broken.append(f"{crossing} was not told within {gone:.0f} s")
                break
            on.ticker.tell(int(gone), int(seconds), f"seconds with {failing} of {BATCH} failing")
            on.crew.check()
            names = [REFUSE] * failing + ["chaos.nap"] * (BATCH - failing)
            rng.shuffle(names)
            await on.enqueue([on.new(0.0, name=name) for name in names])
            await asyncio.sleep(EVERY)
    return broken


async def _lose_one(
    on: Stage, ears: Ears, wanted: Alerts, figures: list[tuple[str, str]]
) -> list[str]:
    """Kill a worker when nothing is to be told; who names it, and how long after."""
    await on.drained(wanted.patience, len(on.accepted))
    victim = on.crew.pids[0]
    [name] = [entry.note for entry in on.read() if (entry.phase, entry.pid) == ("ready", victim)]
    killed = on.crew.kill(victim).at / 1e9
    alarm = Told(LOST, name, "alarm")

    def missed() -> bool:
        return any((entry.phase, entry.note) == ("missed", name) for entry in on.read())

    ways: dict[str, Callable[[], Any]] = {
        "an event": lambda: until(missed, wanted.patience),
        "tidemill status": lambda: _shown_dead(on, name, wanted.patience),
        "the webhook": lambda: until(lambda: alarm in ears.told(), wanted.patience),
        "the mail": lambda: until(lambda: alarm in ears.mailed(), wanted.patience),
    }
    broken, within = [], wanted.lease + wanted.late

    async def named(way: str) -> None:
        true = await ways[way]()
        took = time.monotonic() - killed
        figures.append((f"killed worker named by {way}", f"{took:.1f} s, lease {wanted.lease:g} s"))
        if not true or took > within:
            broken.append(f"{way} named the killed worker {name} after {took:.1f} s")

    async with asyncio.TaskGroup() as group:
        for way in ways:
            group.create_task(named(way))
    broken += [f"{each} is not the worker that was killed" for each in _others(ears, name)]
    return broken


def _others(ears: Ears, name: str) -> list[Told]:
    return [each for each in ears.told() if each.rule == LOST and each.subject != name]


async def _shown_dead(on: Stage, name: str, patience: float) -> bool:
    """Whether the command line shows in time that a worker does not live."""
    end = time.monotonic() + patience
    words = [sys.executable, "-m", "tidemill", "--engine", on.plan.url, "-o", "json", "status"]
    while time.monotonic() < end:
        process = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        answer, _ = await process.communicate()
        workers = json.loads(answer)["workers"]
        if any(each["name"] == name and not each["live"] for each in workers):
            return True
    return False


def _judge(ears: Ears, wanted: Alerts) -> list[str]:
    told, mailed = Counter(ears.told()), Counter(ears.mailed())
    broken = [
        f"the webhook was told {count} times: {each}" for each, count in told.items() if count > 1
    ]
    broken += [f"was mailed {count} times: {each}" for each, count in mailed.items() if count > 1]
    broken += [f"by one way only: {each}" for each in (told - mailed) + (mailed - told)]
    for level in ("alarm", "fine"):
        if Told(PERCENTAGE, DEFAULT_QUEUE, level) not in told:
            broken.append(f"no {level} of the failures in {DEFAULT_QUEUE}")
    # Failed tasks are kept: whoever says that there are fewer again looked at an older reading.
    broken += [f"not over: {each}" for each in told if each[::2] == ("failed_tasks", "fine")]
    for way, counts in (("webhook", ears.failures()), ("mail", ears.failures_mailed())):
        if sum(counts) != wanted.flood or len(counts) > HANDFUL:
            broken.append(
                f"the {way} was told of {sum(counts):,} failures in {len(counts)} notices"
            )
    return broken


def _figures(ears: Ears) -> list[tuple[str, str]]:
    return [
        *((f"{rule} of {subject}", level) for rule, subject, level in sorted(ears.told())),
        ("notices of the flood", _sum(ears.failures())),
        ("the same by mail", _sum(ears.failures_mailed())),
        ("requests and mails", f"{len(ears.hooks.got)} and {len(ears.inbox.mails)}"),
    ]


def _sum(counts: Sequence[int]) -> str:
    return f"{' + '.join(f'{each:,}' for each in counts)} = {sum(counts):,}"
