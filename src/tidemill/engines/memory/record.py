"""What the memory engine keeps of one task, and how it answers for it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from tidemill.clock import from_micros, micros, to_micros
from tidemill.task import (
    Attempt,
    Claim,
    ClaimRef,
    LogLine,
    NewTask,
    Progress,
    State,
    Task,
    TaskError,
)


class Breaker(NamedTuple):
    """An upstream task, and how it ended when it broke what comes after it."""

    task_id: str
    state: State


@dataclass(slots=True)
class Record:
    """One task. Instants are microseconds; `new` holds what was enqueued and never changes.

    `arrived` numbers its last way into pending among those of all tasks.
    """

    new: NewTask
    enqueued: int
    due: int
    attempt_limit: int
    arrived: int = 0
    state: State = State.SCHEDULED
    token: int = 0
    claim_id: str | None = None
    worker: str | None = None
    lease_end: int | None = None
    attempt: int = 0
    alone: bool = False
    crashes: int = 0
    cancel_requested: bool = False
    blocked_on: str | None = None
    broken_by: Breaker | None = None
    started: int | None = None
    finished: int | None = None
    prune: int | None = None
    progress: Progress | None = None
    result: bytes | None = None
    error: TaskError | None = None
    reason: str | None = None
    history: list[Attempt] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)

    @classmethod
    def of(cls, new: NewTask, now: int) -> "Record":
        """A record as it is before its first state is decided."""
        return cls(new, enqueued=now, due=due(new, now), attempt_limit=new.max_attempts)

    @property
    def expires(self) -> int | None:
        """When it may no longer start."""
        return None if self.new.expires_at is None else to_micros(self.new.expires_at)

    def expired(self, now: int) -> bool:
        """Whether it may no longer start."""
        return self.expires is not None and self.expires <= now

    @property
    def place(self) -> tuple[int, int, int, str]:
        """Where it stands by priority, due and id."""
        return (-self.new.priority, 0, self.due, self.new.id)

    @property
    def place_in_lane(self) -> tuple[int, int, int, str]:
        """Where it stands by priority, alone first, and the order of becoming pending."""
        return (-self.new.priority, not self.alone, self.arrived, self.new.id)

    @property
    def broke(self) -> bool:
        """Whether it ended without being completed."""
        return self.state.final and self.state is not State.COMPLETED

    def held_by(self, ref: ClaimRef) -> bool:
        """Whether this claim holds the lease."""
        return self.state is State.RUNNING and self.claimed_by(ref)

    def claimed_by(self, ref: ClaimRef) -> bool:
        """Whether this claim was the last one and was not taken back."""
        return self.token == ref.token and self.claim_id == ref.claim_id

    def ended(self, now: int, outcome: str, error: TaskError | None) -> Attempt:
        """The present attempt as one that ended now."""
        return Attempt(
            number=self.attempt,
            worker=self.worker or "",
            started_at=from_micros(self.started or self.enqueued),
            ended_at=from_micros(now),
            outcome=outcome,
            error=error,
        )

    def claim(self) -> Claim:
        """What the claimer gets."""
        new = self.new
        return Claim(
            ref=ClaimRef(new.id, self.token, self.claim_id or "", new.queue),
            task_type=new.task_type,
            queue=new.queue,
            priority=new.priority,
            payload=new.payload,
            attempt=self.attempt,
            attempt_limit=self.attempt_limit,
            max_attempts=new.max_attempts,
            alone=self.alone,
            crashes=self.crashes,
            waited=timedelta(microseconds=max(0, (self.started or self.due) - self.due)),
            timeout=new.timeout,
            soft_timeout=new.soft_timeout,
            user_id=new.user_id,
            project_id=new.project_id,
            tags=new.tags,
            parent_id=new.parent_id,
            headers=new.headers,
        )

    def attempts(self) -> tuple[Attempt, ...]:
        """Ended attempts, then the one that the record itself tells of."""
        told = self.history[-1].number if self.history else 0
        if self.attempt == told or self.started is None:
            return tuple(self.history)
        if self.state is State.RUNNING:
            last = Attempt(
                number=self.attempt,
                worker=self.worker or "",
                started_at=from_micros(self.started),
            )
        elif self.state.final and self.finished is not None:
            last = self.ended(self.finished, self.state.value, self.error)
        else:
            return tuple(self.history)
        return (*self.history, last)

    def task(self, *, details: bool, awaiting: int = 0) -> Task:
        """What people read; `awaiting` is the number of tasks that it waits for."""
        new = self.new
        return Task(
            id=new.id,
            task_type=new.task_type,
            queue=new.queue,
            state=self.state,
            priority=new.priority,
            attempt=self.attempt,
            attempt_limit=self.attempt_limit,
            max_attempts=new.max_attempts,
            enqueued_at=from_micros(self.enqueued),
            run_at=from_micros(self.due),
            started_at=None if self.started is None else from_micros(self.started),
            finished_at=None if self.finished is None else from_micros(self.finished),
            expires_at=new.expires_at,
            prune_at=None if self.prune is None else from_micros(self.prune),
            timeout=new.timeout,
            soft_timeout=new.soft_timeout,
            retention=new.retention,
            worker=self.worker,
            cancel_requested=self.cancel_requested,
            alone=self.alone,
            crashes=self.crashes,
            blocked_on=self.blocked_on,
            awaiting=awaiting,
            unique=new.unique,
            limit=new.limit,
            after=new.after,
            user_id=new.user_id,
            project_id=new.project_id,
            tags=new.tags,
            parent_id=new.parent_id,
            retried_from=new.retried_from,
            headers=new.headers,
            progress=self.progress,
            payload=new.payload if details else None,
            result=self.result,
            error=self.error,
            reason=self.reason,
            attempts=self.attempts() if details else (),
            logs=tuple(self.logs) if details else (),
        )


def due(new: NewTask, now: int) -> int:
    """When a new task may run: after its delay, at its instant, or now."""
    if new.delay is not None:
        return now + max(0, micros(new.delay))
    return now if new.run_at is None else to_micros(new.run_at)


def later(now: int, by: timedelta) -> int:
    """An instant after now."""
    return now + micros(by)
