"""Background tasks for Python: accepts bursts durably, turns them into results steadily.

    app = Tidemill("sqlite:///tidemill.db")

    @app.task(queue="mail")
    async def send(to: str) -> str: ...

    handle = await send.enqueue(to="a@example.org")
    print(await handle.result())

Everything public is named here, the helpers for tests in `tidemill.testing`.
"""

from typing import TYPE_CHECKING, Any

from tidemill.app import BlockingHandle, Call, Handle, Middleware, Options, TaskFunction, Tidemill
from tidemill.backoff import Backoff, exponential, fixed, linear, polynomial, quadratic
from tidemill.clock import Clock, SystemClock, VirtualClock
from tidemill.codec import Codec
from tidemill.context import Context, Resource
from tidemill.engine import (
    Engine,
    QueueDefinition,
    StateCount,
    Stats,
    TaskPage,
    TaskQuery,
    Transaction,
    Transition,
)
from tidemill.errors import (
    ConfigError,
    Conflict,
    DeclarationError,
    DuplicateUniqueKey,
    EngineError,
    EngineFull,
    EngineRefused,
    EngineUnavailable,
    InvalidTransition,
    LeaseLostError,
    NotFound,
    PayloadError,
    PayloadInvalid,
    PayloadTooLarge,
    PayloadUndecodable,
    Permanent,
    QueueNotFound,
    ResultInvalid,
    ResultTimeout,
    Retry,
    SchemaTooNew,
    SoftTimeout,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFinished,
    TaskNotFound,
    TidemillError,
    UnknownTaskType,
    WorkerError,
)
from tidemill.events import (
    EngineLost,
    EngineRecovered,
    Event,
    LeaseLost,
    TaskCancelled,
    TaskCompleted,
    TaskEnqueued,
    TaskFailed,
    TaskProgressed,
    TaskReclaimed,
    TaskReleased,
    TaskRetried,
    TaskSnoozed,
    TaskStarted,
    TaskTypeUnknown,
    TaskWaiting,
    WorkerDraining,
    WorkerStarted,
    WorkerStopped,
)
from tidemill.outcome import Cancel, Snooze
from tidemill.retry import NEVER, RetryPolicy, RetryRule
from tidemill.settings import Defaults, Settings, WorkerSettings
from tidemill.task import Attempt, LogLine, Progress, Retention, State, Task, TaskError
from tidemill.task_type import TaskType, Unique

if TYPE_CHECKING:
    from tidemill.node import Node

__version__ = "0.1.0"

__all__ = [
    "NEVER",
    "Attempt",
    "Backoff",
    "BlockingHandle",
    "Call",
    "Cancel",
    "Clock",
    "Codec",
    "ConfigError",
    "Conflict",
    "Context",
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
    "Handle",
    "InvalidTransition",
    "LeaseLost",
    "LeaseLostError",
    "LogLine",
    "Middleware",
    "Node",
    "NotFound",
    "Options",
    "PayloadError",
    "PayloadInvalid",
    "PayloadTooLarge",
    "PayloadUndecodable",
    "Permanent",
    "Progress",
    "QueueDefinition",
    "QueueNotFound",
    "Resource",
    "ResultInvalid",
    "ResultTimeout",
    "Retention",
    "Retry",
    "RetryPolicy",
    "RetryRule",
    "SchemaTooNew",
    "Settings",
    "Snooze",
    "SoftTimeout",
    "State",
    "StateCount",
    "Stats",
    "SystemClock",
    "Task",
    "TaskCancelled",
    "TaskCancelledError",
    "TaskCompleted",
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
    "Tidemill",
    "TidemillError",
    "Transaction",
    "Transition",
    "Unique",
    "UnknownTaskType",
    "VirtualClock",
    "WorkerDraining",
    "WorkerError",
    "WorkerSettings",
    "WorkerStarted",
    "WorkerStopped",
    "__version__",
    "exponential",
    "fixed",
    "linear",
    "polynomial",
    "quadratic",
]


def __getattr__(name: str) -> Any:
    """Import the node when it is first named: who only enqueues need not load it."""
    if name == "Node":
        from tidemill.node import Node  # noqa: PLC0415  # see above

        return Node
    raise AttributeError(f"module 'tidemill' has no attribute {name!r}")
