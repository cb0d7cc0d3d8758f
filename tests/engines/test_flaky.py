"""Every verb is safe to repeat, and FlakyEngine fails exactly where its plan says."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.engines.makers import Kind
from tidemill.clock import Clock
from tidemill.engine import Engine, Fired, Firing, Hold, Promoted, Put, Retrial
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import EngineUnavailable
from tidemill.outcome import Completed, Failed, Snoozed
from tidemill.task import DEFAULT_LEASE, Progress, Retention, State
from tidemill.testing import (
    RULES,
    Fault,
    FlakyEngine,
    Lab,
    MakeEngine,
    Plan,
    Rule,
    at_random,
    check_rule,
    scripted,
)
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import NO_TIME, TICK, LabClock

REPEATED = frozenset({"enqueue", "claim", "settle", "cancel", "configure", "pause", "migrate"})
"""Verbs whose second answer equals the first; the others answer that it was done already."""


class Repeating:
    """An engine's caller who repeats every call until it is answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, verb: str) -> Any:
        attribute = getattr(self._engine, verb)
        return self._repeat(attribute) if inspect.iscoroutinefunction(attribute) else attribute

    def session(self) -> Any:
        return Repeating(self._engine.session())

    @staticmethod
    def _repeat(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def repeated(*args: Any, **options: Any) -> Any:
            for _ in range(50):
                try:
                    return await call(*args, **options)
                except EngineUnavailable:
                    continue
            raise AssertionError("fifty faults in a row: the plan is no plan")

        return repeated


def every_answer_is_lost_once() -> Callable[[str], Fault | None]:
    """A plan under which each call of a repeatable verb happens twice."""
    lost = False

    def plan(verb: str) -> Fault | None:
        nonlocal lost
        if verb not in REPEATED:
            return None
        lost = not lost
        return Fault.AFTER if lost else None

    return plan


TOLD_TWICE = {
    "replace_gives_a_scheduled_holder_the_new_content",
    "the_feed_tells_every_transition_in_order_with_its_cause",
}
"""These look at the feed, where a replacement that is made twice is told twice."""

REPEATABLE = [rule for rule in RULES if rule.name not in TOLD_TWICE]


@pytest.mark.parametrize(
    "rule", REPEATABLE, ids=[f"{rule.subject}:{rule.name}" for rule in REPEATABLE]
)
async def test_a_rule_holds_when_every_call_is_made_twice(
    rule: Rule, kind: Kind, make_engine: MakeEngine
) -> None:
    def make(clock: Clock) -> Engine:
        caller: Any = Repeating(FlakyEngine(make_engine(clock), every_answer_is_lost_once()))
        engine: Engine = caller
        return engine

    promised = await check_rule(rule, make)
    assert promised == rule.applies(kind.promises)


def flaky_lab(plan: Plan) -> Lab:
    clock = LabClock()
    return Lab(FlakyEngine(MemoryEngine(clock=clock), plan), clock)


async def test_a_fault_before_a_call_leaves_nothing_behind() -> None:
    lab = flaky_lab(scripted(enqueue=[Fault.BEFORE]))
    task = lab.new()
    with pytest.raises(EngineUnavailable, match="enqueue was refused before it happened"):
        await lab.enqueue(task)
    assert await lab.found() == []
    await lab.enqueue(task)
    assert await lab.found() == [task.id]


async def test_a_fault_after_a_call_loses_only_its_answer() -> None:
    lab = flaky_lab(scripted(settle=[None, Fault.AFTER]))
    first, second = await lab.start(), await lab.start()
    assert await lab.settle(first, Completed()) is State.COMPLETED
    with pytest.raises(EngineUnavailable, match="settle happened, but its answer was lost"):
        await lab.settle(second, Completed(b"kept"))
    assert (await lab.task(second.ref.task_id)).result == b"kept"
    assert await lab.settle(second, Completed(b"kept")) is State.COMPLETED


async def test_verbs_that_answer_what_they_did_take_effect_once_when_repeated() -> None:
    lost = [Fault.AFTER]
    verbs = ("fire", "promote", "reclaim", "prune", "retry", "remove", "put", "extend")
    lab = flaky_lab(scripted(**dict.fromkeys(verbs, lost)))

    async def twice(call: Callable[[], Awaitable[Any]]) -> Any:
        with pytest.raises(EngineUnavailable):
            await call()
        return await call()

    engine, firing = lab.engine, Firing("s", lab.now(), task := lab.new())
    task_id = task.id
    assert await twice(lambda: engine.fire([firing])) == [Fired.ALREADY]
    claim = await lab.take(task_id)
    assert await twice(lambda: lab.extend(claim, progress=Progress(1.0))) is Hold.HELD
    lab.clock.advance(DEFAULT_LEASE + TICK)
    assert await twice(lambda: engine.reclaim(9)) == []
    await lab.settle(await lab.take(task_id), Failed(BROKE))
    assert await twice(lambda: engine.retry([task_id])) == [Retrial.NOT_FINAL]
    await lab.settle(await lab.take(task_id), Snoozed(TICK))
    lab.clock.advance(TICK)
    assert await twice(lambda: engine.promote(9)) == Promoted(0, None)
    await engine.cancel([task_id])
    assert await twice(lambda: engine.remove([task_id])) == [False]
    await engine.cancel([await lab.add(retention=Retention(cancelled=NO_TIME))])
    assert await twice(lambda: engine.prune(9)) == 0
    assert await twice(lambda: engine.put([Put("kind", "k", b"", if_version=0)])) == [None]
    [document] = await engine.get("kind", ["k"])
    assert document is not None
    assert (document.version, document.body) == (1, b"")
    assert await lab.found() == []


async def test_every_verb_can_fail() -> None:
    verbs = [name for name in vars(Engine) if inspect.iscoroutinefunction(getattr(Engine, name))]
    asked: list[str] = []

    def plan(verb: str) -> Fault:
        asked.append(verb)
        return Fault.BEFORE

    engine: Any = FlakyEngine(MemoryEngine(), plan)
    wanted = [verb for verb in verbs if verb != "close"]
    for verb in wanted:
        call = getattr(engine, verb)
        values = inspect.signature(call).parameters.values()
        required = {p.name: None for p in values if p.default is p.empty}
        with pytest.raises(EngineUnavailable, match=verb):
            await call(**required)
    assert asked == wanted
    assert len(wanted) > 20


def test_a_random_plan_repeats_itself_and_fails_both_ways() -> None:
    one, same, other = at_random(1), at_random(1), at_random(2)
    calls = [[plan("settle") for _ in range(300)] for plan in (one, same, other)]
    assert calls[0] == calls[1] != calls[2]
    assert set(calls[0]) == {None, Fault.BEFORE, Fault.AFTER}
    assert 30 < sum(fault is not None for fault in calls[0]) < 90


def test_a_random_plan_fails_only_the_verbs_it_names() -> None:
    plan = at_random(1, chance=1.0, verbs=frozenset({"settle"}))
    assert plan("claim") is None
    assert plan("settle") is not None


async def test_sessions_share_the_plan() -> None:
    lab = flaky_lab(scripted(enqueue=[None, Fault.BEFORE]))
    await lab.add()
    with pytest.raises(EngineUnavailable):
        await lab.beside().add()
