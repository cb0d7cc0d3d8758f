"""Background tasks for Python: accepts bursts durably, turns them into results steadily.

    app = Tidemill("sqlite:///tidemill.db")

    @app.task(queue="mail")
    async def send(to: str) -> str: ...

    handle = await send.enqueue(to="a@example.org")
    print(await handle.result())

Everything public is named here. `tidemill.backup` makes backups, `tidemill.testing` helps tests.
"""

from typing import TYPE_CHECKING, Any

from tidemill.access import Access, Scope, Tenant
from tidemill.alert import AlertEmail, AlertLevel, AlertRule, AlertSettings, Silence
from tidemill.app import (
    BlockingHandle,
    Call,
    Handle,
    Middleware,
    Options,
    Partial,
    TaskFunction,
    Tidemill,
)
from tidemill.app.failed import Failed, FailedGroup, FailedGroups, RetryReport
from tidemill.backoff import Backoff, exponential, fixed, linear, polynomial, quadratic
from tidemill.clock import Clock, SystemClock, VirtualClock
from tidemill.codec import Codec
from tidemill.context import Context, Resource
from tidemill.engine import (
    Engine,
    Fire,
    Fired,
    QueueDefinition,
    Resolution,
    Retrial,
    StateCount,
    Stats,
    TaskPage,
    TaskQuery,
    Transaction,
    Transition,
)
from tidemill.errors import (
    ChangedMeanwhile,
    ConfigError,
    Conflict,
    DeclarationError,
    DuplicateUniqueKey,
    EngineError,
    EngineFull,
    EngineRefused,
    EngineUnavailable,
    Forbidden,
    InvalidBackup,
    InvalidSchedule,
    InvalidTransition,
    KeyMissing,
    LeaseLostError,
    NotFound,
    OutboundRefused,
    PayloadError,
    PayloadInvalid,
    PayloadTooLarge,
    PayloadUndecodable,
    Permanent,
    QueueFull,
    QueueNotFound,
    RateLimited,
    RequestRefused,
    ResultInvalid,
    ResultTimeout,
    Retry,
    ScheduleExists,
    ScheduleNotFound,
    SchemaTooNew,
    SignatureInvalid,
    SoftTimeout,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFinished,
    TaskNotFound,
    TidemillError,
    Unauthenticated,
    UnknownTaskType,
    WebhookNotFound,
    WorkerError,
)
from tidemill.events import (
    ConcurrencyChanged,
    EngineLost,
    EngineRecovered,
    Event,
    LeaseLost,
    MemoryGrowing,
    QueueUnserved,
    ScheduleBroken,
    ScheduleFired,
    ScheduleMissed,
    ScheduleSkipped,
    TaskCancelled,
    TaskCompleted,
    TaskEnd,
    TaskEnqueued,
    TaskFailed,
    TaskProgressed,
    TaskReclaimed,
    TaskReleased,
    TaskRetried,
    TasksClaimed,
    TasksEnqueued,
    TaskSnoozed,
    TasksSettled,
    TaskStarted,
    TaskTypeUnknown,
    TaskWaiting,
    WebhookDisabled,
    WebhooksMissed,
    WorkerDraining,
    WorkerLost,
    WorkerStarted,
    WorkerStopped,
)
from tidemill.keys import AtMost, Unique, cached, debounce, throttle
from tidemill.metrics import Counter, Gauge, Histogram, Metrics
from tidemill.outcome import Cancel, Snooze
from tidemill.queue import QueueOptions
from tidemill.rates import Rate
from tidemill.retry import NEVER, RetryPolicy, RetryRule
from tidemill.secret import Secret
from tidemill.settings import Defaults, Settings, WebhookSettings, WorkerSettings
from tidemill.statistics import Point, QueueStatistics, Statistics
from tidemill.task import Attempt, LogLine, Progress, Retention, State, Task, TaskError
from tidemill.task_type import TaskType
from tidemill.worker_record import HeldTask, SlotUse, WorkerInfo, WorkerRecord, WorkerState

if TYPE_CHECKING:
    from tidemill.app.alerts import AlertInfo, Alerts
    from tidemill.app.credentials import ApiKey, ApiKeys, NewKey
    from tidemill.app.defining import ScheduleChanges, ScheduleOptions
    from tidemill.app.inspect import FleetStatistics, Inspect, RegisteredType
    from tidemill.app.queues import Purged, QueueInfo, Queues
    from tidemill.app.schedules import ScheduleInfo, SchedulerStatistics, Schedules
    from tidemill.app.webhook import Webhook
    from tidemill.app.webhooks import WebhookCreated, WebhookInfo, WebhookOptions, Webhooks
    from tidemill.app.workflow import Step, Workflow
    from tidemill.app.workflows import BlockingWorkflowHandle, WorkflowHandle, WorkflowStatus
    from tidemill.backup import BackupReport, RestoreReport
    from tidemill.node import Node
    from tidemill.schedule import Cron, Every, Misfire, Once, Overlap, Schedule

__version__ = "0.1.0"

__all__ = [
    "NEVER",
    "Access",
    "AlertEmail",
    "AlertInfo",
    "AlertLevel",
    "AlertRule",
    "AlertSettings",
    "Alerts",
    "ApiKey",
    "ApiKeys",
    "AtMost",
    "Attempt",
    "Backoff",
    "BackupReport",
    "BlockingHandle",
    "BlockingWorkflowHandle",
    "Call",
    "Cancel",
    "ChangedMeanwhile",
    "Clock",
    "Codec",
    "ConcurrencyChanged",
    "ConfigError",
    "Conflict",
    "Context",
    "Counter",
    "Cron",
    "DeclarationError",
    "Defaults",
    "DuplicateUniqueKey",
    "Engine",
    "EngineError",
    "EngineFull",
    "EngineLost",
    "EngineRecovered",
    "EngineRefused",
    "EngineUnavailable",
    "Event",
    "Every",
    "Failed",
    "FailedGroup",
    "FailedGroups",
    "Fire",
    "Fired",
    "FleetStatistics",
    "Forbidden",
    "Gauge",
    "Handle",
    "HeldTask",
    "Histogram",
    "Inspect",
    "InvalidBackup",
    "InvalidSchedule",
    "InvalidTransition",
    "KeyMissing",
    "LeaseLost",
    "LeaseLostError",
    "LogLine",
    "MemoryGrowing",
    "Metrics",
    "Middleware",
    "Misfire",
    "NewKey",
    "Node",
    "NotFound",
    "Once",
    "Options",
    "OutboundRefused",
    "Overlap",
    "Partial",
    "PayloadError",
    "PayloadInvalid",
    "PayloadTooLarge",
    "PayloadUndecodable",
    "Permanent",
    "Point",
    "Progress",
    "Purged",
    "QueueDefinition",
    "QueueFull",
    "QueueInfo",
    "QueueNotFound",
    "QueueOptions",
    "QueueStatistics",
    "QueueUnserved",
    "Queues",
    "Rate",
    "RateLimited",
    "RegisteredType",
    "RequestRefused",
    "Resolution",
    "Resource",
    "RestoreReport",
    "ResultInvalid",
    "ResultTimeout",
    "Retention",
    "Retrial",
    "Retry",
    "RetryPolicy",
    "RetryReport",
    "RetryRule",
    "Schedule",
    "ScheduleBroken",
    "ScheduleChanges",
    "ScheduleExists",
    "ScheduleFired",
    "ScheduleInfo",
    "ScheduleMissed",
    "ScheduleNotFound",
    "ScheduleOptions",
    "ScheduleSkipped",
    "SchedulerStatistics",
    "Schedules",
    "SchemaTooNew",
    "Scope",
    "Secret",
    "Settings",
    "SignatureInvalid",
    "Silence",
    "SlotUse",
    "Snooze",
    "SoftTimeout",
    "State",
    "StateCount",
    "Statistics",
    "Stats",
    "Step",
    "SystemClock",
    "Task",
    "TaskCancelled",
    "TaskCancelledError",
    "TaskCompleted",
    "TaskEnd",
    "TaskEnqueued",
    "TaskError",
    "TaskFailed",
    "TaskFailedError",
    "TaskFunction",
    "TaskNotFinished",
    "TaskNotFound",
    "TaskPage",
    "TaskProgressed",
    "TaskQuery",
    "TaskReclaimed",
    "TaskReleased",
    "TaskRetried",
    "TaskSnoozed",
    "TaskStarted",
    "TaskType",
    "TaskTypeUnknown",
    "TaskWaiting",
    "TasksClaimed",
    "TasksEnqueued",
    "TasksSettled",
    "Tenant",
    "Tidemill",
    "TidemillError",
    "Transaction",
    "Transition",
    "Unauthenticated",
    "Unique",
    "UnknownTaskType",
    "VirtualClock",
    "Webhook",
    "WebhookCreated",
    "WebhookDisabled",
    "WebhookInfo",
    "WebhookNotFound",
    "WebhookOptions",
    "WebhookSettings",
    "Webhooks",
    "WebhooksMissed",
    "WorkerDraining",
    "WorkerError",
    "WorkerInfo",
    "WorkerLost",
    "WorkerRecord",
    "WorkerSettings",
    "WorkerStarted",
    "WorkerState",
    "WorkerStopped",
    "Workflow",
    "WorkflowHandle",
    "WorkflowStatus",
    "__version__",
    "cached",
    "debounce",
    "exponential",
    "fixed",
    "linear",
    "polynomial",
    "quadratic",
    "throttle",
]


_LATER = {
    "tidemill.app.alerts": ("AlertInfo", "Alerts"),
    "tidemill.app.credentials": ("ApiKey", "ApiKeys", "NewKey"),
    "tidemill.app.defining": ("ScheduleChanges", "ScheduleOptions"),
    "tidemill.app.inspect": ("FleetStatistics", "Inspect", "RegisteredType"),
    "tidemill.app.queues": ("Purged", "QueueInfo", "Queues"),
    "tidemill.app.schedules": ("ScheduleInfo", "SchedulerStatistics", "Schedules"),
    "tidemill.app.webhook": ("Webhook",),
    "tidemill.app.webhooks": ("WebhookCreated", "WebhookInfo", "WebhookOptions", "Webhooks"),
    "tidemill.app.workflow": ("Step", "Workflow"),
    "tidemill.app.workflows": ("BlockingWorkflowHandle", "WorkflowHandle", "WorkflowStatus"),
    "tidemill.backup": ("BackupReport", "RestoreReport"),
    "tidemill.node": ("Node",),
    "tidemill.schedule": ("Cron", "Every", "Misfire", "Once", "Overlap", "Schedule"),
}
"""Modules that are imported when one of their names is first used: who enqueues needs none."""


def __getattr__(name: str) -> Any:
    """Find a name of `_LATER`."""
    from importlib import import_module  # noqa: PLC0415  # no public name of ours

    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'tidemill' has no attribute {name!r}")
