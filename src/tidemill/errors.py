"""Every error that Tidemill raises, in one closed tree.

    TidemillError
    ├── ConfigError
    ├── DeclarationError
    ├── InvalidBackup
    ├── InvalidSchedule
    ├── PayloadError
    │   ├── PayloadInvalid
    │   ├── PayloadTooLarge
    │   └── PayloadUndecodable
    │       └── KeyMissing
    ├── ResultInvalid
    ├── NotFound
    │   ├── UnknownTaskType
    │   ├── TaskNotFound
    │   ├── QueueNotFound
    │   ├── ScheduleNotFound
    │   └── WebhookNotFound
    ├── Conflict
    │   ├── ChangedMeanwhile
    │   ├── DuplicateUniqueKey
    │   ├── QueueFull
    │   ├── ScheduleExists
    │   ├── TaskNotFinished
    │   └── InvalidTransition
    ├── EngineError
    │   ├── EngineUnavailable
    │   ├── EngineFull
    │   └── EngineRefused
    │       └── SchemaTooNew
    ├── OutboundRefused
    ├── RequestRefused                       raised by the client
    ├── SignatureInvalid                     raised to the receiver of a webhook
    ├── Unauthenticated                      of the HTTP interface, as the next two
    ├── Forbidden
    ├── RateLimited
    ├── ResultTimeout (also a TimeoutError)
    ├── TaskFailedError
    ├── TaskCancelledError
    ├── WorkerError
    ├── LeaseLostError                       raised inside a task
    ├── SoftTimeout (also a TimeoutError)    raised inside a task
    ├── Permanent                            raised by a task
    └── Retry                                raised by a task

`slug` is stable: it names the error in logs and is its HTTP problem type. `exit_code` is what the
command line ends with: 1 failure, 2 usage, 3 not found, 4 engine unavailable. The first line of a
class's docstring is the message of an error that is raised without one.

Errors are named for what happened; `Error` is added where an event has that name.
"""

import inspect
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar


class TidemillError(Exception):
    """Tidemill could not do what was asked."""

    slug: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        """Take the message, or the first line of the class's docstring."""
        super().__init__(message or (inspect.getdoc(type(self)) or "").partition("\n")[0])

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling, whatever a subclass's constructor takes.

        An exception is rebuilt from `args` by calling its class, which fails in the parent of a
        child process as soon as a constructor wants more than the message.
        """
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(cls: type[TidemillError], args: tuple[object, ...]) -> TidemillError:
    error = cls.__new__(cls)
    error.args = args
    return error


class ConfigError(TidemillError):
    """A setting has a value that Tidemill cannot use."""

    slug = "config-invalid"
    exit_code = 2


class DeclarationError(TidemillError):
    """A task type is declared in a way that Tidemill cannot run."""

    slug = "declaration-invalid"
    exit_code = 2


class InvalidBackup(TidemillError):
    """A file is not a whole and unaltered backup."""

    slug = "backup-invalid"


class InvalidSchedule(TidemillError):
    """A schedule is defined in a way that can never work.

    `field` names what is wrong (`minute`, `timezone`, `period`); `column` is where in a cron
    expression, from 0. Both are None where nothing single is at fault.
    """

    slug = "invalid-schedule"
    exit_code = 2

    def __init__(
        self, reason: str = "", *, field: str | None = None, column: int | None = None
    ) -> None:
        """Say what is wrong, and where."""
        super().__init__(reason)
        self.field = field
        self.column = column


class PayloadError(TidemillError):
    """A payload cannot be used."""

    slug = "payload-error"
    exit_code = 2


class PayloadInvalid(PayloadError):
    """A payload does not fit its task type.

    `field` is the path of the value, such as `order.lines[2].price`; None when no single value is
    at fault. `task_type` is None where the codec is used without a task type.
    """

    slug = "payload-invalid"

    def __init__(
        self, reason: str, *, field: str | None = None, task_type: str | None = None
    ) -> None:
        subject = f"the payload of {task_type}" if task_type else "the value"
        place = f" at {field}" if field else ""
        super().__init__(f"{subject} is not valid{place}: {reason}")
        self.reason = reason
        self.field = field
        self.task_type = task_type


class PayloadTooLarge(PayloadError):
    """A payload has more bytes than its limit (`size` and `limit`, both in bytes)."""

    slug = "payload-too-large"

    def __init__(self, size: int, limit: int, *, task_type: str | None = None) -> None:
        subject = f"the payload of {task_type}" if task_type else "the value"
        super().__init__(
            f"{subject} has {size:,} bytes, the limit is {limit:,}: "
            "keep the data in a file or a table and pass its name, or raise the limit"
        )
        self.size = size
        self.limit = limit
        self.task_type = task_type


class PayloadUndecodable(PayloadError):
    """The stored bytes are not an envelope that this version of Tidemill can read."""

    slug = "payload-undecodable"
    exit_code = 1


class KeyMissing(PayloadUndecodable):
    """The stored bytes are encrypted with a key that this process was not given."""

    slug = "key-missing"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"it is encrypted with the key {key_id}, which this process does not have: give it "
            "that key as security.encryption_key, or among security.former_encryption_keys"
        )
        self.key_id = key_id


class ResultInvalid(TidemillError):
    """A result does not fit the return annotation of its task type, or has no JSON form."""

    slug = "result-invalid"

    def __init__(self, task_type: str, reason: str) -> None:
        super().__init__(f"the result of {task_type} is not valid: {reason}")
        self.task_type = task_type
        self.reason = reason


class NotFound(TidemillError):
    """There is nothing of that name."""

    slug = "not-found"
    exit_code = 3


class UnknownTaskType(NotFound):
    """No task type of that name is declared."""

    slug = "unknown-task-type"

    def __init__(self, task_type: str, known: Iterable[str] = ()) -> None:
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"no task type is called {task_type!r} (declared: {names})")
        self.task_type = task_type


class TaskNotFound(NotFound):
    """There is no task of that id: it never existed, or it was pruned."""

    slug = "task-not-found"

    def __init__(self, task_id: object) -> None:
        super().__init__(f"there is no task {task_id}: it never existed, or it was pruned")
        self.task_id = str(task_id)


class QueueNotFound(NotFound):
    """There is no queue of that name."""

    slug = "queue-not-found"

    def __init__(self, queue: str) -> None:
        super().__init__(f"there is no queue called {queue!r}")
        self.queue = queue


class ScheduleNotFound(NotFound):
    """There is no schedule of that name."""

    slug = "schedule-not-found"

    def __init__(self, schedule: str) -> None:
        super().__init__(f"there is no schedule called {schedule!r}")
        self.schedule = schedule


class WebhookNotFound(NotFound):
    """There is no webhook of that id."""

    slug = "webhook-not-found"

    def __init__(self, webhook: str) -> None:
        super().__init__(f"there is no webhook {webhook!r}")
        self.webhook = webhook


class Conflict(TidemillError):
    """The state of things does not allow that."""

    slug = "conflict"


class ChangedMeanwhile(Conflict):
    """It was changed since it was read.

    `subject` is what was to be changed, such as `the queue 'mail'`; it is as others left it.
    """

    slug = "precondition-failed"

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"{subject} was changed since it was read: read it again, and change what it is now"
        )
        self.subject = subject


class DuplicateUniqueKey(Conflict):
    """Another live task holds the unique key, and the key's rule is to reject.

    `task_id` is the task that holds it.
    """

    slug = "duplicate-unique-key"

    def __init__(self, unique_key: str, task_id: object) -> None:
        super().__init__(f"the unique key {unique_key!r} is held by the task {task_id}")
        self.unique_key = unique_key
        self.task_id = str(task_id)


class QueueFull(Conflict):
    """The queue has as many waiting tasks as it may: nothing of the batch was enqueued.

    `waiting` of at most `capacity` tasks were waiting, and `more` were to be enqueued.
    """

    slug = "queue-full"

    def __init__(self, queue: str, capacity: int, waiting: int, more: int) -> None:
        super().__init__(
            f"the queue {queue} is full: {waiting:,} of at most {capacity:,} tasks wait there, and "
            f"{more:,} more do not fit: try again when some have started, or raise its capacity"
        )
        self.queue = queue
        self.capacity = capacity
        self.waiting = waiting
        self.more = more


class ScheduleExists(Conflict):
    """There is a schedule of that name already."""

    slug = "schedule-exists"

    def __init__(self, schedule: str) -> None:
        super().__init__(
            f"there is a schedule called {schedule!r} already: update it, or choose another name"
        )
        self.schedule = schedule


class TaskNotFinished(Conflict):
    """The task has no result yet."""

    slug = "task-not-finished"

    def __init__(self, task_id: object, state: str) -> None:
        super().__init__(f"the task {task_id} has no result yet: it is {state}")
        self.task_id = str(task_id)
        self.state = state


class InvalidTransition(Conflict):
    """A task in that state cannot be changed so, such as a retry while it runs."""

    slug = "invalid-transition"

    def __init__(self, task_id: object, state: str, verb: str) -> None:
        super().__init__(f"cannot {verb} the task {task_id}: it is {state}")
        self.task_id = str(task_id)
        self.state = state
        self.verb = verb


class EngineError(TidemillError):
    """The engine could not do what was asked."""

    slug = "engine-error"
    exit_code = 4


class EngineUnavailable(EngineError):
    """The engine cannot be reached; the call may or may not have happened and is safe to repeat."""

    slug = "engine-unavailable"


class EngineFull(EngineError):
    """The engine has no room left for another task."""

    slug = "engine-full"


class EngineRefused(EngineError):
    """The engine cannot be used as it is: read-only, on a network file system, or misconfigured."""

    slug = "engine-refused"


class SchemaTooNew(EngineRefused):
    """The engine's schema was written by a newer Tidemill."""

    slug = "schema-too-new"

    def __init__(self, found: int, supported: int) -> None:
        super().__init__(
            f"the engine has schema version {found}, this Tidemill knows versions up to "
            f"{supported}: upgrade Tidemill in this process"
        )
        self.found = found
        self.supported = supported


class OutboundRefused(TidemillError):
    """A request to another server is not sent, or its answer not read: it could do harm.

    `reason` says what is wrong with the URL, with where it leads to, or with the answer.
    """

    slug = "outbound-refused"
    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(f"the URL is refused: {reason}")
        self.reason = reason


class SignatureInvalid(TidemillError):
    """A message is not what its sender signed, or was signed too long ago; do not act on it."""

    slug = "signature-invalid"


class RequestRefused(TidemillError):
    """The server refused a request for a reason that only HTTP has, such as an unknown route.

    `problem` is what it said: the problem details of RFC 9457.
    """

    slug = "request-refused"

    def __init__(self, message: str, problem: Any) -> None:
        super().__init__(message)
        self.problem = problem


class Unauthenticated(TidemillError):
    """The request proves nothing: it has no credentials, or none that are valid."""

    slug = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("this needs valid credentials: an API key, a token, or a login")


class Forbidden(TidemillError):
    """The credentials are valid, and do not allow this. `needed` is the scope that would."""

    slug = "forbidden"

    def __init__(self, needed: str) -> None:
        super().__init__(f"these credentials do not allow this: it needs the scope {needed!r}")
        self.needed = needed


class RateLimited(TidemillError):
    """The credentials were used more often than their rate allows; nothing was done.

    `retry_after` says when the next request is allowed.
    """

    slug = "rate-limited"

    def __init__(self, retry_after: timedelta) -> None:
        seconds = retry_after.total_seconds()
        super().__init__(f"too many requests with these credentials: try again in {seconds:.1f} s")
        self.retry_after = retry_after


class ResultTimeout(TidemillError, TimeoutError):
    """The task was not final when the time to wait for it was over; it goes on by itself."""

    slug = "result-timeout"


class TaskFailedError(TidemillError):
    """The task whose result was asked for has failed.

    The error of its last attempt as text, as the worker saw it: `error_type` (such as
    `builtins.ValueError`), `message`, `traceback` and `fingerprint`. It is never turned back into
    the exception that it was.
    """

    slug = "task-failed"

    def __init__(
        self,
        task_id: object,
        *,
        error_type: str,
        message: str,
        traceback: str = "",
        fingerprint: str = "",
    ) -> None:
        """Name the task and the error of its last attempt."""
        super().__init__(f"the task {task_id} failed: {error_type}: {message}")
        self.task_id = str(task_id)
        self.error_type = error_type
        self.message = message
        self.traceback = traceback
        self.fingerprint = fingerprint


class TaskCancelledError(TidemillError):
    """The task whose result was asked for was cancelled."""

    slug = "task-cancelled"

    def __init__(self, task_id: object, reason: str = "") -> None:
        """Name the task and why it was cancelled (`expired`, or what the caller said)."""
        super().__init__(f"the task {task_id} was cancelled" + (f": {reason}" if reason else ""))
        self.task_id = str(task_id)
        self.reason = reason


class WorkerError(TidemillError):
    """A worker cannot go on."""

    slug = "worker-error"


class LeaseLostError(TidemillError):
    """The right to run this task is gone: whatever the function returns now changes nothing."""

    slug = "lease-lost"


class SoftTimeout(TidemillError, TimeoutError):
    """The task has used up its soft time limit; the hard limit ends it soon.

    Raised inside the task so that it can save its work. As a `TimeoutError` it is retried like any
    other one unless the retry policy has a rule for it.
    """

    slug = "soft-timeout"


class Permanent(TidemillError):
    """Trying again would not help.

    Raise it in a task to fail at once, with all attempts left. `code` is a word for programs, kept
    with the task's error.
    """

    slug = "permanent"

    def __init__(self, reason: str = "", *, code: str | None = None) -> None:
        """Say why another attempt would end the same."""
        super().__init__(reason)
        self.reason = str(self)
        self.code = code


class Retry(TidemillError):
    """The task asks for another attempt.

    Raise it in a task to choose the wait (a timedelta or seconds); without one, the retry policy's
    backoff does. It counts as an attempt: with none left, the task fails. A negative wait is a
    ValueError.
    """

    slug = "retry"

    def __init__(self, after: timedelta | float | None = None, reason: str = "") -> None:
        """Take the wait, which must not be negative, and the reason."""
        super().__init__(reason)
        if isinstance(after, int | float):
            after = timedelta(seconds=after)
        if after is not None and after < timedelta():
            raise ValueError(f"a task cannot be retried in the past: after={after}")
        self.after = after
        self.reason = str(self)
