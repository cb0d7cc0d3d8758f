"""Whether a failed attempt is followed by another one, and when.

A policy is a default rule and rules by exception class. Whatever the order in which they are
written, the rule of the most specific class decides, by the error's method resolution order:

>>> policy = RetryPolicy(3, fixed(1), on={OSError: RetryRule(5, fixed(2)), PermissionError: NEVER})
>>> policy.decide(ConnectionResetError("peer left"), attempt=4)
Again(after=datetime.timedelta(seconds=2))
>>> policy.decide(PermissionError("no"), attempt=1)
GiveUp(reason='PermissionError is never retried')
>>> policy.decide(ValueError("odd"), attempt=3)
GiveUp(reason='attempt 3 of 3 failed')

`max_attempts` counts attempts, so it is the number of retries plus one. The budget of a rule and
that of the task both hold: the smaller one wins. A rule without one leaves it to the task.
"""

import random as system_random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import msgspec

from tidemill.backoff import Backoff, exponential, fixed
from tidemill.errors import (
    ConfigError,
    DeclarationError,
    PayloadError,
    Permanent,
    ResultInvalid,
    Retry,
    TaskCancelledError,
    TaskFailedError,
)

DEFAULT_MAX_ATTEMPTS = 4
"""The budget where neither the task nor the rule names one: three retries."""

DEFAULT_BACKOFF = exponential(1, cap=600, jitter=True)

HOPELESS = (
    Permanent,
    ConfigError,
    DeclarationError,
    PayloadError,
    ResultInvalid,
    TaskCancelledError,
    TaskFailedError,
)
"""Errors that the next attempt would meet again; no rule brings them back."""


class Again(msgspec.Struct, frozen=True):
    """Try again after this wait."""

    after: timedelta


class GiveUp(msgspec.Struct, frozen=True):
    """Fail now, for this reason."""

    reason: str


RetryDecision = Again | GiveUp


class RetryRule(msgspec.Struct, frozen=True):
    """The attempts and the backoff for one class of errors; None leaves the number to the task."""

    max_attempts: int | None = None
    backoff: Backoff = DEFAULT_BACKOFF

    def __post_init__(self) -> None:
        """Refuse a budget that does not even allow the first attempt."""
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ConfigError(f"max_attempts counts the first attempt too: {self.max_attempts} < 1")


NEVER = RetryRule(1, fixed(0))
"""The rule of errors that one attempt is enough for."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What `@app.task(retry=…)` takes: a default rule, and rules by exception class."""

    max_attempts: int | None = None
    backoff: Backoff = DEFAULT_BACKOFF
    on: Mapping[type[BaseException], RetryRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the default rule, and keep the rules by class from being changed elsewhere."""
        RetryRule(self.max_attempts, self.backoff)
        for error_class in self.on:
            if not _is_error_class(error_class):
                raise DeclarationError(f"a retry rule needs an exception class: {error_class!r}")
        object.__setattr__(self, "on", dict(self.on))

    def within(self, max_attempts: int | None) -> "RetryPolicy":
        """Fill in the open default budget: with the task type's, or else with four attempts."""
        if self.max_attempts is not None:
            return self
        return replace(self, max_attempts=max_attempts or DEFAULT_MAX_ATTEMPTS)

    @property
    def most_attempts(self) -> int:
        """The largest budget of any rule: what a task gets that names none itself."""
        default = self.max_attempts or DEFAULT_MAX_ATTEMPTS
        return max([default, *(rule.max_attempts or default for rule in self.on.values())])

    def decide(
        self,
        error: BaseException,
        attempt: int,
        max_attempts: int | None = None,
        random: Callable[[], float] = system_random.random,
    ) -> RetryDecision:
        """Decide what follows attempt number `attempt`, which ended with `error`.

        `attempt` is counted within the present budget, 1 for the first attempt after an enqueue or
        a manual retry. A group of errors is decided by its strictest member: give up if any member
        gives up, else the longest wait.
        """
        if isinstance(error, BaseExceptionGroup):
            members = [
                self.decide(each, attempt, max_attempts, random) for each in error.exceptions
            ]
            return _strictest(members)
        if isinstance(error, HOPELESS):
            return GiveUp(f"{type(error).__name__}: {error}")
        rule = self._rule_for(type(error))
        budget = min(
            (most for most in (rule.max_attempts, max_attempts) if most is not None),
            default=DEFAULT_MAX_ATTEMPTS,
        )
        if rule.max_attempts == 1:
            return GiveUp(f"{type(error).__name__} is never retried")
        if attempt >= budget:
            return GiveUp(f"attempt {attempt} of {budget} failed")
        if isinstance(error, Retry) and error.after is not None:
            return Again(error.after)
        return Again(rule.backoff.delay(attempt, random))

    def _rule_for(self, error_class: type[BaseException]) -> RetryRule:
        for ancestor in error_class.__mro__:
            if ancestor in self.on:
                return self.on[ancestor]
        return RetryRule(self.max_attempts, self.backoff)


def _is_error_class(key: object) -> bool:
    return isinstance(key, type) and issubclass(key, BaseException)


def _strictest(decisions: list[RetryDecision]) -> RetryDecision:
    waits = []
    for decision in decisions:
        if isinstance(decision, GiveUp):
            return decision
        waits.append(decision.after)
    return Again(max(waits))
