"""The application under attack: tasks that write down what they do."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import msgspec

from tests.chaos.ledger import Ledger
from tidemill import (
    AlertSettings,
    Context,
    Defaults,
    LeaseLost,
    Permanent,
    ScheduleFired,
    Settings,
    TaskCompleted,
    Tidemill,
    WebhookSettings,
    WorkerLost,
    WorkerSettings,
    WorkerStarted,
)

NAP = "chaos.nap"
POISON = "chaos.poison"
REFUSE = "chaos.refuse"
PLAN = "TIDEMILL_CHAOS_PLAN"
"""The environment variable that names the file of the plan."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of one campaign must agree on. Durations are seconds.

    `conductor` is the process id of the campaign. `max_attempts` is far above what bad luck needs,
    so that a task can only fail for a reason. Alerts are tasks too: only those
    who are about them want any, the others count what they enqueued.
    """

    url: str
    ledger: str
    conductor: int
    concurrency: int = 24
    children: int = 2
    lease: float = 2.5
    heartbeat: float = 0.5
    max_attempts: int = 50
    alerts: AlertSettings = AlertSettings(enabled=False)
    webhooks: WebhookSettings = WebhookSettings()


class Ran(msgspec.Struct, frozen=True):
    """A task's result: which attempt ended it, and where it ran."""

    attempt: int
    pid: int
    parent: int


def build(plan: Plan) -> Tidemill:
    """The application of a plan, for workers and for those who enqueue."""
    ledger = Ledger(Path(plan.ledger))
    app = Tidemill(
        settings=Settings(
            url=plan.url,
            alerts=plan.alerts,
            webhooks=plan.webhooks,
            defaults=Defaults(max_attempts=plan.max_attempts),
            worker=WorkerSettings(
                concurrency=plan.concurrency,
                children=plan.children,
                lease=timedelta(seconds=plan.lease),
                heartbeat=timedelta(seconds=plan.heartbeat),
            ),
        )
    )

    @app.task(name=NAP)
    async def nap(ctx: Context, seconds: float) -> Ran:
        ledger.write("begin", ctx.task_id, ctx.attempt)
        await asyncio.sleep(seconds)
        ledger.write("end", ctx.task_id, ctx.attempt)
        return Ran(ctx.attempt, os.getpid(), os.getppid())

    @app.task(name=POISON)
    async def poison(ctx: Context) -> None:
        ledger.write("begin", ctx.task_id, ctx.attempt)
        os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(60)

    @app.task(name=REFUSE)
    async def refuse(ctx: Context, seconds: float) -> None:
        ledger.write("begin", ctx.task_id, ctx.attempt)
        await asyncio.sleep(seconds)
        ledger.write("end", ctx.task_id, ctx.attempt)
        raise Permanent("it refuses, as it was asked to")

    @app.on(WorkerStarted)
    def ready(event: WorkerStarted) -> None:
        ledger.write("ready", note=event.worker)

    @app.on(TaskCompleted)
    def settled(event: TaskCompleted) -> None:
        ledger.write("settled", event.task_id, event.attempt)

    @app.on(LeaseLost)
    def lost(event: LeaseLost) -> None:
        ledger.write("lost", event.task_id, event.attempt)

    @app.on(WorkerLost)
    def missed(event: WorkerLost) -> None:
        ledger.write("missed", note=event.worker)

    @app.on(ScheduleFired)
    def fired(event: ScheduleFired) -> None:
        ledger.write("fired", event.task_id)

    return app
