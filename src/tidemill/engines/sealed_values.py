"""The values of the seam, passed on with each piece of what people wrote sealed, or opened.

Each piece is bound to its place: a payload to its task type, as a debounced call gives its payload
to a task with another id; a document to its kind and key; anything else to the task and to what it
is of it. A reason is bound to being one alone, as one call cancels many tasks for one reason.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tidemill.engine import Document, Extension, Firing, Put, Transition
from tidemill.outcome import Cancelled, Completed, Failed, Outcome, Retried, Settlement, Snoozed
from tidemill.task import Attempt, Claim, LogLine, NewTask, Progress, Task, TaskError

_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Passing:
    """One direction: `data` and `text` seal or open a piece, given with its place."""

    data: Callable[[bytes, bytes], bytes]
    text: Callable[[str, bytes], str]

    def new_task(self, task: NewTask) -> NewTask:
        """A task to enqueue."""
        return _replace(task, payload=self._payload(task.task_type, task.payload))

    def firing(self, firing: Firing) -> Firing:
        """A firing with its task."""
        return firing if firing.task is None else _replace(firing, task=self.new_task(firing.task))

    def claim(self, claim: Claim) -> Claim:
        """A claim."""
        return _replace(claim, payload=self._payload(claim.task_type, claim.payload))

    def extension(self, extension: Extension) -> Extension:
        """An extension with what was reported."""
        if extension.progress is None and not extension.logs:
            return extension
        task_id = extension.claim.task_id
        return _replace(
            extension,
            progress=self._progress(task_id, extension.progress),
            logs=self._logs(task_id, extension.logs),
        )

    def settlement(self, settlement: Settlement) -> Settlement:
        """A settlement with its outcome, its children, and what was reported."""
        task_id = settlement.claim.task_id
        return Settlement(
            settlement.claim,
            self._outcome(task_id, settlement.outcome),
            tuple(map(self.new_task, settlement.enqueue)),
            self._progress(task_id, settlement.progress),
            self._logs(task_id, settlement.logs),
        )

    def task(self, task: Task) -> Task:
        """A record with as many details as there are."""
        task_id = task.id
        payload, reason = task.payload, task.reason
        return _replace(
            task,
            payload=None if payload is None else self._payload(task.task_type, payload),
            result=self._result(task_id, task.result),
            error=self._error(task_id, task.error),
            reason=None if reason is None else self.reason(reason),
            progress=self._progress(task_id, task.progress),
            attempts=tuple(self._attempt(task_id, each) for each in task.attempts),
            logs=self._logs(task_id, task.logs),
        )

    def transition(self, transition: Transition) -> Transition:
        """An entry of the feed."""
        if transition.progress is None:
            return transition
        progress = self._progress(transition.task_id, transition.progress)
        return _replace(transition, progress=progress)

    def put(self, put: Put) -> Put:
        """A document to write."""
        if put.body is None:
            return put
        return _replace(put, body=self._body(put.kind, put.key, put.body))

    def document(self, document: Document) -> Document:
        """A document."""
        return _replace(document, body=self._body(document.kind, document.key, document.body))

    def reason(self, reason: str) -> str:
        """Why a task was cancelled or snoozed."""
        return self.text(reason, b"reason")

    def _payload(self, task_type: str, payload: bytes) -> bytes:
        return self.data(payload, b"payload\0" + task_type.encode())

    def _body(self, kind: str, key: str, body: bytes) -> bytes:
        return self.data(body, f"document\0{kind}\0{key}".encode())

    def _result(self, task_id: str, result: bytes | None) -> bytes | None:
        return None if result is None else self.data(result, _of(task_id, b"result"))

    def _outcome(self, task_id: str, outcome: Outcome) -> Outcome:
        match outcome:
            case Completed(result):
                return outcome if result is None else Completed(self._result(task_id, result))
            case Retried(error) | Failed(error):
                return _replace(outcome, error=self._error(task_id, error))
            case Cancelled(reason) | Snoozed(reason=reason):
                return _replace(outcome, reason=self.reason(reason))
        return outcome

    def _error(self, task_id: str, error: TaskError | None) -> TaskError | None:
        if error is None:
            return None
        return _replace(
            error,
            message=self.text(error.message, _of(task_id, b"error message")),
            traceback=self.text(error.traceback, _of(task_id, b"error traceback")),
        )

    def _attempt(self, task_id: str, attempt: Attempt) -> Attempt:
        if attempt.error is None:
            return attempt
        return _replace(attempt, error=self._error(task_id, attempt.error))

    def _progress(self, task_id: str, progress: Progress | None) -> Progress | None:
        if progress is None:
            return None
        return _replace(
            progress,
            message=self.text(progress.message, _of(task_id, b"progress message")),
            step=self.text(progress.step, _of(task_id, b"progress step")),
        )

    def _logs(self, task_id: str, lines: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
        if not lines:
            return lines
        place = _of(task_id, b"log")
        return tuple(_replace(each, message=self.text(each.message, place)) for each in lines)


def _of(task_id: str, what: bytes) -> bytes:
    return what + b"\0" + task_id.encode()
