"""Facts observed in this process, as values, and the bus that hands them to subscribers.

Events are best effort: they are emitted where something happened and are gone with the
process. The engine's feed is the journal that survives. `docs/events.md` lists them: it is API.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from tidemill.task import NewTask, Progress, TaskError


class Event(msgspec.Struct, frozen=True):
    """Any event; subscribe to it to see all of them."""


class _OfTask(Event, frozen=True):
    task_id: str
    task_type: str
    queue: str


class TaskEnqueued(Event, frozen=True):
    """The engine accepted a task; `duplicate` when an earlier one holds its unique key."""

    task: NewTask
    task_id: str
    duplicate: bool


class TasksEnqueued(Event, frozen=True):
    """The engine accepted tasks in one call; those that duplicate an earlier one are left out."""

    tasks: tuple[NewTask, ...]


class TasksClaimed(Event, frozen=True):
    """A claim brought so many tasks, after `took`."""

    count: int
    took: timedelta


class TaskEnd(msgspec.Struct, frozen=True, gc=False):
    """How one attempt ended, in a `TasksSettled`.

    `outcome` is `completed`, `retried`, `failed`, `cancelled`, `snoozed`, `waiting`, `released`, or
    `lost` where the engine refused the settlement. `ran` are the seconds that it ran, `waited`
    those from due to claimed.
    """

    task_type: str
    queue: str
    outcome: str
    ran: float
    waited: float


class TasksSettled(Event, frozen=True):
    """The engine recorded outcomes in one call, which took `took`: for who counts many tasks.

    Whatever it tells of one task an event of its own tells too, if anybody listens to that.
    """

    ends: tuple[TaskEnd, ...]
    took: timedelta


class TaskStarted(_OfTask, frozen=True):
    """A worker began an attempt."""

    attempt: int
    worker: str
    user_id: str | None = None


class TaskProgressed(_OfTask, frozen=True):
    """A running task reported progress."""

    progress: Progress


class _Ended(_OfTask, frozen=True):
    attempt: int
    worker: str
    ran_for: timedelta


class TaskCompleted(_Ended, frozen=True):
    """The engine recorded a result."""

    user_id: str | None = None


class TaskRetried(_Ended, frozen=True):
    """An attempt failed; the next one is due after `delay`."""

    error: TaskError
    delay: timedelta
    user_id: str | None = None


class TaskFailed(_Ended, frozen=True):
    """A task failed for good."""

    error: TaskError
    user_id: str | None = None


class TaskCancelled(_Ended, frozen=True):
    """A task ended as cancelled while a worker had it."""

    reason: str
    user_id: str | None = None


class TaskSnoozed(_Ended, frozen=True):
    """A task asked to run later."""

    delay: timedelta
    user_id: str | None = None


class TaskWaiting(_Ended, frozen=True):
    """A task gave up its slot until its children are final."""

    children: tuple[str, ...]
    user_id: str | None = None


class TaskReleased(_Ended, frozen=True):
    """A task was handed back by a draining worker."""

    user_id: str | None = None


class LeaseLost(_OfTask, frozen=True):
    """The engine refused a settlement or an extension: the claim is another's now, or nobody's."""

    attempt: int
    worker: str


class TaskReclaimed(_OfTask, frozen=True):
    """A task was taken back from a worker that no longer extends its lease."""

    worker: str
    state: str


class TaskTypeUnknown(Event, frozen=True):
    """Tasks of a type are pending in a queue, and no live worker of it knows the type.

    Told when it begins, and again only after a worker knew the type in between.
    """

    task_type: str
    queue: str


class QueueUnserved(Event, frozen=True):
    """Tasks are pending in a queue from which no live worker claims; told as an unknown type is."""

    queue: str


class ScheduleFired(Event, frozen=True):
    """A scheduler of this process enqueued a schedule's task, `lag` after its instant."""

    schedule: str
    at: datetime
    task_id: str
    lag: timedelta


class ScheduleSkipped(Event, frozen=True):
    """An instant enqueued nothing, because the task of an earlier one is not final.

    `task_id` is that earlier task.
    """

    schedule: str
    at: datetime
    task_id: str


class ScheduleMissed(Event, frozen=True):
    """Instants up to `at` were not fired in time, and the schedule's policy drops them."""

    schedule: str
    at: datetime
    missed: int


class ScheduleBroken(Event, frozen=True):
    """A schedule cannot be planned or fired; told once for each version of its definition."""

    schedule: str
    problem: str


class WebhooksMissed(Event, frozen=True):
    """Transitions were cut from the feed before webhooks could tell of them.

    `after` is when the feed had last been read on, `webhooks` how many were active.
    """

    after: datetime
    webhooks: int


class WebhookDisabled(Event, frozen=True):
    """A webhook sends nothing any more, until somebody activates it again."""

    webhook: str
    name: str
    reason: str


class WorkerStarted(Event, frozen=True):
    """A worker process is ready to claim."""

    worker: str
    queues: tuple[str, ...]
    concurrency: int


class WorkerDraining(Event, frozen=True):
    """A worker stopped claiming and finishes what it holds."""

    worker: str
    running: int
    reason: str


class WorkerStopped(Event, frozen=True):
    """A worker process ended in order."""

    worker: str
    released: int


class ConcurrencyChanged(Event, frozen=True):
    """A worker of automatic concurrency runs more or fewer tasks of a queue at once from now on.

    `pool` is where: `loop` (async functions) or `thread`. `reason` says what was measured.
    """

    worker: str
    pool: str
    queue: str
    before: int
    after: int
    reason: str


class MemoryGrowing(Event, frozen=True):
    """A worker's memory grew steadily over many tasks, as it does when something leaks.

    It grew by `grown_mib` within `over`, while `tasks` tasks ended. `limit_mib` is the
    `max_memory_mib` at which the process will drain and be replaced, if there is one.
    """

    worker: str
    used_mib: int
    grown_mib: int
    over: timedelta
    tasks: int
    limit_mib: int | None


class WorkerLost(Event, frozen=True):
    """A worker process fell silent while it held `running` tasks: it was killed, or is cut off.

    Told by one sweeper of the fleet, before the worker's lease is over.
    """

    worker: str
    host: str
    pid: int
    running: int


class EngineLost(Event, frozen=True):
    """A call to the engine failed; it will be repeated after `retry_in`."""

    doing: str
    problem: str
    retry_in: timedelta


class EngineRecovered(Event, frozen=True):
    """The engine answers again."""

    doing: str


E = TypeVar("E", bound=Event)
Listener = Callable[[E], object]


class Bus:
    """Hands events to listeners, in the order of subscription, in the emitting thread.

    A listener that raises does not disturb the emitter or other listeners: its error is handed
    to `on_error`.
    """

    def __init__(self, on_error: Callable[[Event, Exception], object]) -> None:
        self._listeners: dict[type[Event], tuple[Listener[Event], ...]] = {}
        self._on_error = on_error

    def subscribe(self, kind: type[E], listener: Listener[E]) -> None:
        """Call `listener` with every event of this kind, or of a kind derived from it."""
        self._listeners[kind] = (*self._listeners.get(kind, ()), listener)  # type: ignore[arg-type]  # a listener of E is only ever handed an E

    def wanted(self, kind: type[Event]) -> bool:
        """Whether anybody listens: lets hot paths skip making a value that nobody reads."""
        return bool(self._listeners) and any(base in self._listeners for base in kind.__mro__)

    def emit(self, event: Event) -> None:
        """Hand one event to its listeners."""
        if not self._listeners:
            return
        for base in type(event).__mro__:
            for listener in self._listeners.get(base, ()):
                try:
                    listener(event)
                except Exception as error:  # noqa: BLE001  # a listener is user code
                    self._on_error(event, error)
