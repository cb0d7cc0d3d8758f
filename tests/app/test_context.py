"""The context that a task function is given: what it reports, keeps, and hands to its worker."""

import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from tidemill import (
    Context,
    Permanent,
    Progress,
    Resource,
    State,
    TaskFailedError,
    Tidemill,
    Unique,
)
from tidemill.clock import VirtualClock, from_micros
from tidemill.context import MAX_LOG_LINES, MAX_LOG_TEXT, Suspended
from tidemill.engine import Transaction
from tidemill.ids import child_id
from tidemill.task import Claim, ClaimRef, LogLine, Task, TaskError
from tidemill.testing import numbered_id

R = TypeVar("R")
PARENT = numbered_id(1)


@dataclass
class Answers:
    """The worker's side, answering from what a test says."""

    reported: list[Progress] = field(default_factory=list)
    logged: list[LogLine] = field(default_factory=list)
    known: dict[str, Task] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    stops: bool = False

    def report(self, progress: Progress) -> None:
        self.reported.append(progress)

    def log(self, line: LogLine) -> None:
        self.logged.append(line)

    def stopping(self) -> bool:
        return self.stops

    async def tasks(self, ids: tuple[str, ...]) -> dict[str, Task]:
        return {task_id: self.known[task_id] for task_id in ids if task_id in self.known}

    async def begin(self) -> Transaction:
        raise NotImplementedError

    def resource(self, name: str) -> Any:
        return self.resources[name]

    def block_on(self, work: Coroutine[Any, Any, R]) -> R:
        raise NotImplementedError


def claim(attempt: int = 1) -> Claim:
    return Claim(
        ref=ClaimRef(PARENT, 1, numbered_id(2), "q"),
        task_type="work",
        queue="q",
        priority=5,
        payload=b"",
        attempt=attempt,
        attempt_limit=3,
        max_attempts=3,
    )


@pytest.fixture
def ports() -> Answers:
    return Answers()


@pytest.fixture
def ctx(ports: Answers) -> Context:
    return Context(claim(), ports, {})


async def double(number: int) -> int:
    return number * 2


def test_it_tells_what_the_claim_says(ports: Answers) -> None:
    first, last = Context(claim(1), ports, {}), Context(claim(3), ports, {})
    assert (first.task_id, first.task_type, first.queue, first.attempt) == (PARENT, "work", "q", 1)
    assert (first.last_attempt, last.last_attempt) == (False, True)
    assert first.claim.max_attempts == 3


def test_should_stop_is_the_workers_word(ctx: Context, ports: Answers) -> None:
    assert not ctx.should_stop
    ports.stops = True
    assert ctx.should_stop


# progress


async def test_progress_is_clamped_and_never_goes_back(ctx: Context, ports: Answers) -> None:
    for percent in (-5, 30, 10, 200, 99):
        await ctx.progress(percent)
    assert [each.percent for each in ports.reported] == [0, 30, 30, 100, 100]


def test_progress_may_go_unawaited_in_ordinary_code(ctx: Context, ports: Answers) -> None:
    ctx.progress(10, "reading")
    assert ports.reported == [Progress(10, "reading")]


def test_progress_that_is_no_number_is_none(ctx: Context, ports: Answers) -> None:
    ctx.progress(math.nan)
    assert ports.reported[0].percent == 0


def test_steps_count_by_their_weights(ports: Answers) -> None:
    ctx = Context(claim(), ports, {"parse": 1, "embed": 3})
    ctx.step("parse", 1, 2)
    ctx.step("embed", 1, 3, "batch 1")
    ctx.step("parse", 2, 2)
    ctx.step("embed", 9, 3)
    assert [each.percent for each in ports.reported] == [12.5, 50, 50, 100]
    assert ports.reported[1] == Progress(50, "batch 1", "embed", 1, 3)


def test_a_step_without_a_total_is_done(ports: Answers) -> None:
    ctx = Context(claim(), ports, {"parse": 1, "embed": 3})
    ctx.step("parse", 0, 0)
    assert ports.reported[0].percent == 25


def test_without_declared_steps_a_step_is_all_of_the_task(ctx: Context, ports: Answers) -> None:
    ctx.step("anything", 1, 4)
    assert ports.reported[0].percent == 25


def test_an_unknown_step_fails_for_good_and_names_the_known_ones(ports: Answers) -> None:
    ctx = Context(claim(), ports, {"parse": 1, "embed": 3})
    with pytest.raises(Permanent, match="work has no step 'prase'; it declares parse, embed"):
        ctx.step("prase")


# logs


def test_lines_are_kept_with_the_task_and_passed_on(
    ctx: Context, ports: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="tidemill.task.work"):
        ctx.logger.debug("a")
        ctx.logger.info("%d of %d", 1, 2)
        ctx.logger.warning("100%")
        ctx.logger.error("%(what)s", {"what": "x"})
    kept = [(line.level, line.message, line.attempt) for line in ports.logged]
    assert kept == [
        ("debug", "a", 1),
        ("info", "1 of 2", 1),
        ("warning", "100%", 1),
        ("error", "x", 1),
    ]
    assert [record.getMessage() for record in caplog.records] == ["a", "1 of 2", "100%", "x"]
    assert caplog.records[0].task_id == PARENT  # type: ignore[attr-defined]  # given as extra
    assert caplog.records[0].filename == "test_context.py"


def test_a_mistake_in_a_log_line_does_not_fail_the_task(
    ctx: Context, ports: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    ctx.logger.info("%d of %d", *[1])
    assert ports.logged[0].message == "%d of %d (1,)"


def test_lines_beyond_the_cap_are_not_kept_and_the_last_one_says_so(
    ctx: Context, ports: Answers
) -> None:
    for number in range(MAX_LOG_LINES + 50):
        ctx.logger.info("line %d", number)
    assert len(ports.logged) == MAX_LOG_LINES + 1
    assert ports.logged[-2].message == f"line {MAX_LOG_LINES - 1}"
    assert ports.logged[-1].message == f"only the first {MAX_LOG_LINES} lines are kept"


def test_a_long_line_is_cut(ctx: Context, ports: Answers) -> None:
    ctx.logger.info("x" * (MAX_LOG_TEXT + 1))
    assert ports.logged[0].message == "x" * MAX_LOG_TEXT + "…"


# tasks of a task


def test_enqueueing_collects_for_the_settlement(app: Tidemill, ctx: Context) -> None:
    double_it = app.task(double)
    first = ctx.enqueue(double_it.call(1))
    second = ctx.enqueue(double_it.options(priority=9).call(2))
    assert [task.id for task in ctx.enqueued] == [first, second]
    assert [task.priority for task in ctx.enqueued] == [5, 9]
    assert {task.parent_id for task in ctx.enqueued} == {PARENT}


async def test_gathering_leaves_the_function_with_its_children(app: Tidemill, ctx: Context) -> None:
    double_it = app.task(double)
    with pytest.raises(Suspended) as left:
        await ctx.gather(double_it.call(1), double_it.call(2))
    ids = (child_id(PARENT, 0), child_id(PARENT, 1))
    assert left.value.children == ids
    assert tuple(task.id for task in ctx.enqueued) == ids
    assert not isinstance(left.value, Exception), "`except Exception` must not stop it"


async def test_the_same_calls_have_the_same_ids_on_each_attempt(
    app: Tidemill, ctx: Context, ports: Answers
) -> None:
    double_it = app.task(double)
    ports.known = _ended(app, 1, 2, 3)
    assert await ctx.gather(double_it.call(1), double_it.call(2)) == [2, 4]
    assert await ctx.gather(double_it.call(3)) == [6]
    again = Context(claim(2), ports, {})
    assert await again.gather(double_it.call(1)) == [2]
    assert ctx.enqueued == again.enqueued == ()


async def test_only_children_that_do_not_exist_are_enqueued(
    app: Tidemill, ctx: Context, ports: Answers
) -> None:
    double_it = app.task(double)
    ports.known = _ended(app, 1)
    with pytest.raises(Suspended) as left:
        await ctx.gather(double_it.call(1), double_it.call(2))
    assert left.value.children == (child_id(PARENT, 1),)
    assert [task.id for task in ctx.enqueued] == [child_id(PARENT, 1)]


async def test_what_was_enqueued_before_waiting_is_left_to_the_run_that_ends(
    app: Tidemill, ctx: Context
) -> None:
    double_it = app.task(double)
    ctx.enqueue(double_it.call(9))
    with pytest.raises(Suspended):
        await ctx.gather(double_it.call(1))
    assert [task.id for task in ctx.enqueued] == [child_id(PARENT, 0)]


async def test_an_awaited_child_never_gives_way_to_the_holder_of_its_key(
    app: Tidemill, ctx: Context
) -> None:
    double_it = app.task(unique=Unique("{number}"))(double)
    with pytest.raises(Suspended):
        await ctx.gather(double_it.call(1))
    assert ctx.enqueued[0].unique is None


async def test_a_failed_child_raises_or_leaves_its_place_empty(
    app: Tidemill, ctx: Context, ports: Answers
) -> None:
    double_it = app.task(double)
    ports.known = _ended(app, 1, 2)
    failed = ports.known[child_id(PARENT, 1)]
    ports.known[child_id(PARENT, 1)] = _record(
        failed.id, State.FAILED, error=TaskError("builtins.ValueError", "it broke")
    )
    calls = double_it.call(1), double_it.call(2)
    assert await ctx.gather(*calls, fail=False) == [2, None]
    with pytest.raises(TaskFailedError, match="ValueError: it broke"):
        await Context(claim(), ports, {}).gather(*calls)


async def test_gathering_nothing_is_nothing(ctx: Context) -> None:
    assert await ctx.gather() == []


def _ended(app: Tidemill, *numbers: int) -> dict[str, Task]:
    [task_type] = app.task_types.values()
    return {
        child_id(PARENT, place): _record(
            child_id(PARENT, place),
            State.COMPLETED,
            result=task_type.signature.encode_result(number * 2),
        )
        for place, number in enumerate(numbers)
    }


def _record(task_id: str, state: State, **more: Any) -> Task:
    now = from_micros(VirtualClock().now())
    return Task(
        id=task_id,
        task_type="double",
        queue="default",
        state=state,
        priority=5,
        attempt=1,
        attempt_limit=4,
        max_attempts=4,
        enqueued_at=now,
        run_at=now,
        **more,
    )


# resources


def test_a_resource_is_reached_by_what_declared_it(
    app: Tidemill, ctx: Context, ports: Answers
) -> None:
    async def pool() -> Any:
        yield 5

    declared: Resource[int] = app.resource(pool)
    ports.resources[declared.name] = 5
    assert ctx.use(declared) == 5
