"""Retry policies: the tables of the specifications, and which rule decides."""

import asyncio
import doctest
import sqlite3
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill import retry
from tidemill.backoff import exponential, fixed, linear, quadratic
from tidemill.errors import (
    ConfigError,
    DeclarationError,
    PayloadInvalid,
    Permanent,
    ResultInvalid,
    Retry,
    SoftTimeout,
)
from tidemill.retry import NEVER, Again, GiveUp, RetryPolicy, RetryRule


class AIUnavailableError(Exception):
    """As an application defines it."""


TABLE = RetryPolicy(
    on={
        TimeoutError: RetryRule(4, exponential(1)),
        PermissionError: NEVER,
        sqlite3.OperationalError: RetryRule(6, fixed(5)),
        AIUnavailableError: RetryRule(3, linear(10)),
    }
)


def waits(policy: RetryPolicy, error: BaseException, random: float = 1.0) -> list[float]:
    """The waits in seconds until the policy gives up."""
    found: list[float] = []
    while True:
        decision = policy.decide(error, len(found) + 1, None, lambda: random)
        if isinstance(decision, GiveUp):
            return found
        found.append(decision.after.total_seconds())
        assert len(found) < 100


def test_the_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(retry)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError("network"), [1, 2, 4]),
        (PermissionError("denied"), []),
        (sqlite3.OperationalError("database is locked"), [5, 5, 5, 5, 5]),
        (AIUnavailableError("overloaded"), [10, 20]),
    ],
)
def test_a_table_of_errors_is_a_line_each(error: Exception, expected: list[float]) -> None:
    assert waits(TABLE, error) == expected


def test_a_retry_config_with_initial_backoff_is_one_line() -> None:
    policy = RetryPolicy(4, exponential(1, 2, cap=60))
    assert waits(policy, OSError()) == [1, 2, 4]
    assert waits(RetryPolicy(9, policy.backoff), OSError()) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_retry_backoff_true_with_max_retries_3_is_one_line() -> None:
    policy = RetryPolicy(4, exponential(1, cap=600, jitter=True))
    assert waits(policy, OSError(), random=1.0) == [1, 2, 4]
    assert waits(policy, OSError(), random=0.0) == [0, 0, 0]
    assert policy.backoff.delay(20, lambda: 1.0) == timedelta(seconds=600)


def test_the_square_of_the_attempt_is_one_line() -> None:
    assert waits(RetryPolicy(4, quadratic()), OSError()) == [1, 4, 9]


def test_the_default_is_three_retries() -> None:
    assert waits(RetryPolicy(), OSError()) == [1, 2, 4]


def test_the_most_specific_class_decides_in_any_order_of_declaration() -> None:
    rules: dict[type[BaseException], RetryRule] = {
        Exception: RetryRule(9, fixed(1)),
        OSError: RetryRule(9, fixed(2)),
        ConnectionError: RetryRule(9, fixed(3)),
    }
    for order in (rules, dict(reversed(rules.items()))):
        policy = RetryPolicy(on=order)
        assert policy.decide(ConnectionResetError(), 1) == Again(timedelta(seconds=3))
        assert policy.decide(FileNotFoundError(), 1) == Again(timedelta(seconds=2))
        assert policy.decide(ValueError(), 1) == Again(timedelta(seconds=1))


def test_a_soft_timeout_is_retried_like_any_timeout() -> None:
    assert waits(TABLE, SoftTimeout()) == [1, 2, 4]


@settings(deadline=None)
@given(
    st.none() | st.integers(1, 9), st.none() | st.integers(1, 9), st.integers(1, 12), st.booleans()
)
def test_the_smaller_budget_wins(
    rules: int | None, tasks: int | None, attempt: int, by_class: bool
) -> None:
    policy = RetryPolicy(on={OSError: RetryRule(rules)}) if by_class else RetryPolicy(rules)
    smaller = min([each for each in (rules, tasks) if each is not None] or [4])
    decision = policy.decide(OSError(), attempt, tasks)
    assert isinstance(decision, Again) == (attempt < smaller)


def test_an_open_budget_is_filled_with_that_of_the_task_type() -> None:
    policy = RetryPolicy(on={OSError: RetryRule(6), KeyError: RetryRule(2)})
    assert policy.within(None).max_attempts == 4
    assert policy.within(9).max_attempts == 9
    assert RetryPolicy(3).within(9).max_attempts == 3
    assert policy.most_attempts == 6
    assert policy.within(9).most_attempts == 9
    assert isinstance(policy.within(None).decide(ValueError(), 4, policy.most_attempts), GiveUp)


@pytest.mark.parametrize(
    "error",
    [
        Permanent("the account is closed"),
        PayloadInvalid("expected int, got str", field="n"),
        ResultInvalid("mail.send", "expected int, got str"),
    ],
)
def test_what_the_next_attempt_would_meet_again_fails_at_once(error: Exception) -> None:
    policy = RetryPolicy(9, on={Exception: RetryRule(9)})
    decision = policy.decide(error, 1)
    assert isinstance(decision, GiveUp)
    assert str(error) in decision.reason


def test_retry_chooses_its_own_wait_and_counts_as_an_attempt() -> None:
    policy = RetryPolicy(3, fixed(1))
    assert policy.decide(Retry(after=120), 1) == Again(timedelta(minutes=2))
    assert policy.decide(Retry(), 1) == Again(timedelta(seconds=1))
    assert policy.decide(Retry(after=120), 3) == GiveUp("attempt 3 of 3 failed")


def test_a_group_of_errors_is_decided_by_its_strictest_member() -> None:
    timeouts = ExceptionGroup("two calls", [TimeoutError(), AIUnavailableError()])
    assert TABLE.decide(timeouts, 1) == Again(timedelta(seconds=10))
    nested = ExceptionGroup("calls", [timeouts, ExceptionGroup("one", [PermissionError()])])
    assert TABLE.decide(nested, 1) == GiveUp("PermissionError is never retried")


def test_a_permanent_error_in_an_asyncio_task_group_is_permanent() -> None:
    async def refuse() -> None:
        raise Permanent("gone")

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(body())
    assert isinstance(RetryPolicy().decide(raised.value, 1), GiveUp)


def test_a_policy_is_a_value() -> None:
    rules: dict[type[BaseException], RetryRule] = {OSError: NEVER}
    policy = RetryPolicy(on=rules)
    rules.clear()
    assert policy == RetryPolicy(on={OSError: NEVER})


def test_a_budget_without_a_first_attempt_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 < 1"):
        RetryPolicy(0)


@pytest.mark.parametrize("key", ["OSError", (OSError, KeyError), OSError(), int])
def test_a_rule_for_something_else_than_an_exception_class_is_refused(key: type[Exception]) -> None:
    with pytest.raises(DeclarationError, match="exception class"):
        RetryPolicy(on={key: NEVER})
