"""Building workflows: steps, edges, the short forms, and what is refused."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.app.conftest import Recorder
from tests.app.test_context import Answers, claim
from tidemill import (
    AtMost,
    ConfigError,
    Context,
    DeclarationError,
    PayloadInvalid,
    Step,
    TaskEnqueued,
    TaskFunction,
    Tidemill,
    Workflow,
)
from tidemill.app.workflows import WORKFLOW, Root
from tidemill.codec import DEFAULT_CODEC
from tidemill.inputs import INPUTS, places_of
from tidemill.settings import Settings
from tidemill.task import After, NewTask

Some = TaskFunction[..., Any]


@pytest.fixture
def one(app: Tidemill) -> Some:
    @app.task(name="one", unique="{n}", tags=["numbers"])
    async def one(n: int) -> int:
        return n

    return one


@pytest.fixture
def total(app: Tidemill) -> Some:
    @app.task(name="total")
    async def total(numbers: list[int], title: str = "") -> int:
        return sum(numbers)

    return total


class Visit(msgspec.Struct):
    page: int


def root_of(tasks: list[NewTask]) -> Root:
    return DEFAULT_CODEC.decode(tasks[-1].payload, Root)


def upstream(task: NewTask) -> tuple[str, ...]:
    return task.after.tasks if task.after else ()


# the tasks of a workflow


async def test_a_workflow_is_enqueued_in_one_call_its_steps_in_order_and_the_whole_last(
    app: Tidemill, engine: Recorder, one: Some, total: Some
) -> None:
    flow = app.workflow("sums")
    first, second = flow.add(one.call(1)), flow.add(one.call(2))
    summed = flow.add(total.call([first.result, second.result], title="t"))
    other = flow.add(one.call(3), after=[first])
    handle = await flow.enqueue()
    [[*steps, root]] = engine.batches
    assert [step.id for step in steps] == [first.id, second.id, summed.id, other.id]
    assert [upstream(step) for step in steps] == [(), (), (first.id, second.id), (first.id,)]
    assert {step.parent_id for step in steps} == {root.id} == {handle.id}
    assert (root.task_type, upstream(root)) == (WORKFLOW, tuple(step.id for step in steps))
    assert root.after is not None
    assert root.after.joins
    assert root_of([root]) == Root("sums", (2, 3), many=True)


async def test_enqueueing_a_workflow_again_changes_nothing(
    app: Tidemill, engine: Recorder, one: Some, total: Some
) -> None:
    flow = app.chord([one.call(1), one.call(2)], total.partial())
    first, again = await flow.enqueue(), await flow.enqueue()
    assert first.id == again.id
    assert engine.batches[0] == engine.batches[1]
    assert len(await first.steps()) == 3


async def test_the_tasks_of_a_workflow_are_told_as_enqueued(app: Tidemill, one: Some) -> None:
    told: list[TaskEnqueued] = []
    app.on(TaskEnqueued)(told.append)
    handle = await app.chain(one.call(1), one.call(2)).enqueue()
    assert [event.task.task_type for event in told] == ["one", "one", WORKFLOW]
    assert told[-1].task_id == handle.id


def test_a_result_is_null_in_the_payload_and_named_in_a_header(
    app: Tidemill, one: Some, total: Some
) -> None:
    flow = app.workflow("w")
    first, second, third = (flow.add(one.call(n)) for n in range(3))
    flow.add(total.call([second.result, 7, first.result, second.result]), after=[third])
    task = flow.new_tasks()[3]
    assert DEFAULT_CODEC.decode(task.payload) == {"numbers": [None, 7, None, None]}
    assert upstream(task) == (second.id, first.id, third.id)
    places = places_of(task.headers[INPUTS])
    assert places == [(("numbers", 0), 0), (("numbers", 2), 1), (("numbers", 3), 0)]


def test_a_step_that_only_comes_after_others_has_no_such_header(app: Tidemill, one: Some) -> None:
    first, second, _ = app.chain(one.call(1), one.call(2)).new_tasks()
    assert upstream(second) == (first.id,)
    assert second.headers == {}


def test_a_step_keeps_the_options_of_its_call_but_its_unique_key(
    app: Tidemill, one: Some, total: Some
) -> None:
    options: dict[str, Any] = {
        "queue": "q",
        "priority": 9,
        "delay": 5,
        "tags": ["x"],
        "project_id": "p",
    }
    flow = app.chord([one.options(**options).call(1)], total.options(max_attempts=1).partial())
    first, last, root = flow.new_tasks()
    assert (first.queue, first.priority, first.delay) == ("q", 9, timedelta(seconds=5))
    assert (first.tags, first.project_id, first.unique) == (("numbers", "x"), "p", None)
    assert last.max_attempts == 1
    assert (root.queue, root.project_id) == ("q", "p")


def test_a_step_has_a_limit_that_its_known_arguments_make(app: Tidemill, one: Some) -> None:
    @app.task(name="load", limit=AtMost(2, per="{user}"))
    async def load(user: str, number: int) -> None: ...

    @app.task(name="odd", limit=AtMost(2, per="{number}"))
    async def odd(number: int) -> None: ...

    flow = app.workflow("w")
    first = flow.add(one.call(1))
    flow.add(load.call("ada", first.result))
    limit = flow.new_tasks()[1].limit
    assert limit is not None
    assert limit.key == "load/ada"
    flow = app.workflow("w")
    first = flow.add(one.call(1))
    with pytest.raises(PayloadInvalid, match=r"the limit '\{number\}' cannot be made of it"):
        flow.add(odd.call(first.result))


def test_the_rule_for_failures_is_that_of_the_workflow_unless_a_step_has_its_own(
    app: Tidemill, one: Some
) -> None:
    flow = app.workflow("w", on_failure="skip")
    first = flow.add(one.call(1))
    flow.add(one.call(2), after=[first])
    flow.add(one.call(3), after=[first], on_failure="continue")
    rules = [task.after.on_failure if task.after else None for task in flow.new_tasks()]
    assert rules == [None, "skip", "continue", "skip"]


# the short forms


def test_each_element_of_a_chain_takes_the_result_before_it(app: Tidemill) -> None:
    @app.task(name="add")
    async def add(a: int, b: int = 1, *, c: int = 0) -> int:
        return a + b + c

    @app.task(name="keyed")
    async def keyed(*, given: int = 0, needed: int) -> int:
        return needed

    flow = app.chain(add.call(1), add.partial(b=2), add.partial(a=3), keyed.partial())
    payloads = [DEFAULT_CODEC.decode(task.payload) for task in flow.new_tasks()[:-1]]
    assert payloads == [
        {"a": 1},
        {"b": 2, "a": None},
        {"a": 3, "b": None},
        {"needed": None},
    ]


def test_a_list_in_a_chain_runs_side_by_side_and_the_next_takes_all(
    app: Tidemill, one: Some, total: Some
) -> None:
    flow = app.chain(one.call(1), [one.partial(), one.call(5)], total.partial(title="t"))
    first, left, right, last, root = flow.new_tasks()
    assert upstream(left) == upstream(right) == (first.id,)
    assert upstream(last) == (left.id, right.id)
    assert DEFAULT_CODEC.decode(last.payload) == {"title": "t", "numbers": [None, None]}
    assert root_of([root]) == Root("chain", (3,), many=False)


@pytest.mark.parametrize("size", [1, 3])
def test_the_result_of_a_group_is_a_list_however_many_calls_it_has(
    app: Tidemill, one: Some, size: int
) -> None:
    tasks = app.group(*(one.call(n) for n in range(size))).new_tasks()
    assert root_of(tasks) == Root("group", tuple(range(size)), many=True)


def test_a_chord_may_end_with_a_call_that_takes_no_result(app: Tidemill, one: Some) -> None:
    first, last, _ = app.chord([one.call(1)], one.call(2), name="c").new_tasks()
    assert upstream(last) == (first.id,)


# what is refused


def test_a_workflow_without_steps_is_refused(app: Tidemill) -> None:
    with pytest.raises(ConfigError, match="the workflow w has no steps: add one"):
        app.workflow("w").new_tasks()
    with pytest.raises(ConfigError, match="chain has no steps"):
        app.chain().new_tasks()
    with pytest.raises(ConfigError, match="group has an empty list of calls"):
        app.group()


def test_a_step_of_another_workflow_is_refused(app: Tidemill, one: Some, total: Some) -> None:
    other = app.workflow("other").add(one.call(1))
    for call, after in ((one.call(2), [other]), (total.call([other.result]), [])):
        with pytest.raises(ConfigError, match="was added to another workflow than this one, w"):
            app.workflow("w").add(call, after=after)


async def test_the_result_of_a_step_is_refused_outside_a_workflow(
    app: Tidemill, one: Some, total: Some
) -> None:
    first: Step[int] = app.workflow("w").add(one.call(1))
    told = "takes the result of a step: add it to the workflow of that step"
    with pytest.raises(ConfigError, match=told):
        await one.enqueue(first.result)
    with pytest.raises(ConfigError, match=told):
        await app.enqueue(total.call([first.result]))
    with pytest.raises(ConfigError, match=told):
        await total.enqueue_many([{"numbers": [first.result]}])
    with pytest.raises(ConfigError, match=told):
        Context(claim(), Answers(), {}).enqueue(one.call(first.result))
    with pytest.raises(PayloadInvalid, match="Placeholder has no JSON form"):
        app.schedule("s", one, every=60, payload={"n": first.result})


def test_a_step_that_keeps_no_result_has_none_to_give(app: Tidemill, total: Some) -> None:
    @app.task(name="mute", keep_result=False)
    async def mute() -> int:
        return 1

    flow = app.workflow("w")
    step = flow.add(mute.call())
    flow.add(total.call([]), after=[step])
    with pytest.raises(ConfigError, match="total takes the result of mute, which is declared with"):
        flow.add(total.call([step.result]))


def test_the_first_of_a_chain_has_nothing_to_take(app: Tidemill, one: Some) -> None:
    with pytest.raises(ConfigError, match="<one without n> has no step before it"):
        app.chain(one.partial())
    with pytest.raises(ConfigError, match="<one without n> has no step before it"):
        app.group(one.partial())  # type: ignore[arg-type]  # a checker refuses it too


def test_a_partial_call_must_lack_just_one_argument(app: Tidemill, one: Some) -> None:
    @app.task(name="two")
    async def two(a: int, b: int) -> int:
        return a + b

    with pytest.raises(DeclarationError, match=r"one.partial\(…\) leaves no parameter"):
        one.partial(n=1)
    with pytest.raises(PayloadInvalid, match="missing required field b"):
        two.partial()
    with pytest.raises(PayloadInvalid, match="unknown field c"):
        two.partial(a=1, c=2)
    with pytest.raises(PayloadInvalid, match="at a: expected int, got str"):
        two.partial(a="1")


def test_what_is_no_call_is_refused(app: Tidemill, one: Some) -> None:
    for element in (one, app.group(one.call(1)), "one"):
        with pytest.raises(ConfigError, match="made of calls, partial calls and lists of them"):
            app.chain(element)  # type: ignore[arg-type]  # a checker refuses it too
        with pytest.raises(ConfigError, match="made of calls, partial calls and lists of them"):
            app.chain([element])  # type: ignore[list-item]  # a checker refuses it too


def test_names_and_rules_that_do_not_exist_are_refused(app: Tidemill, one: Some) -> None:
    with pytest.raises(ConfigError, match="'a name' cannot name a workflow"):
        app.workflow("a name")
    with pytest.raises(ConfigError, match="on_failure='stop': say fail, skip or continue"):
        app.workflow("w", on_failure="stop")  # type: ignore[arg-type]  # a checker refuses it too
    flow = app.workflow("w")
    with pytest.raises(ConfigError, match="on_failure='stop'"):
        flow.add(one.call(2), after=[flow.add(one.call(1))], on_failure="stop")  # type: ignore[arg-type]  # the same


async def test_an_enqueued_workflow_takes_no_more_steps(app: Tidemill, one: Some) -> None:
    flow = app.chain(one.call(1))
    await flow.enqueue()
    with pytest.raises(ConfigError, match="the workflow chain was enqueued already"):
        flow.add(one.call(2))


def test_one_id_for_two_steps_is_refused(app: Tidemill, one: Some) -> None:
    chosen = one.options(id="01900000-0000-7000-8000-000000000001").call(1)
    with pytest.raises(ConfigError, match="two steps of chain have the id 01900000"):
        app.chain(chosen, chosen)


def test_a_batch_task_type_takes_results(app: Tidemill, one: Some) -> None:
    @app.batch(Visit, size=10, within=1)
    async def count(visits: list[Visit]) -> None: ...

    flow = app.workflow("w")
    step = flow.add(one.call(1))
    flow.add(count.call(page=step.result))
    [_, task, _] = flow.new_tasks()
    assert task.after == After((step.id,))
    assert INPUTS in task.headers


# inside a task


def test_a_task_enqueues_a_whole_workflow_with_its_settlement(
    app: Tidemill, one: Some, total: Some
) -> None:
    ctx = Context(claim(), Answers(), {})
    flow = app.chord([one.call(1), one.call(2)], total.partial())
    root_id = ctx.enqueue(flow)
    assert [task.parent_id for task in ctx.enqueued] == [root_id] * 3 + [ctx.task_id]
    assert ctx.enqueued[-1].id == root_id


# size


def test_a_chord_of_ten_thousand_is_built_in_seconds(make_app: Callable[..., Tidemill]) -> None:
    app = make_app(settings=Settings(payload_limit=64 * 1024))

    @app.task
    async def part(n: int) -> int:
        return n

    @app.task
    async def merge(parts: list[int]) -> int:
        return sum(parts)

    started = time.process_time()
    flow: Workflow[int] = app.chord([part.call(n) for n in range(10_000)], merge.partial())
    *_, last, root = flow.new_tasks()
    assert time.process_time() - started < 5
    assert len(last.headers[INPUTS]) < 100
    assert len(upstream(root)) == 10_001
