"""The engine rules of `docs/engine.md`, one function each, one file per subject.

A rule is a public coroutine function that takes a `Lab`: its name is the rule as a sentence, its
docstring says where the documentation states it. It returns when the engine keeps the rule.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

from tidemill.engine import EngineInfo
from tidemill.testing.lab import Lab
from tidemill.testing.rules import (
    attempts,
    batches,
    cancel,
    capacity,
    children,
    claim,
    concurrency,
    documents,
    enqueue,
    extend,
    feed,
    fencing,
    find,
    fire,
    history,
    lanes,
    limits,
    order,
    promote,
    prune,
    queues,
    rates,
    reclaim,
    restore,
    retry,
    sessions,
    settle,
    stats,
    transactions,
    unique,
    upstream,
)

Check = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it is called, where it is stated, how it is checked, which engines it binds.

    `subject` is the file under `tidemill/testing/rules` that holds it.
    """

    subject: str
    name: str
    text: str
    check: Check
    applies: Callable[[EngineInfo], bool]


def _always(_info: EngineInfo) -> bool:
    return True


def _by_task(info: EngineInfo) -> bool:
    return info.ordered == "task"


def _by_lane(info: EngineInfo) -> bool:
    return info.ordered == "lane"


def _across_queues(info: EngineInfo) -> bool:
    return info.atomic == "batch"


def _by_lane_across_queues(info: EngineInfo) -> bool:
    return _by_lane(info) and _across_queues(info)


def _transactional(info: EngineInfo) -> bool:
    return info.transactional


NARROWED: dict[Check, Callable[[EngineInfo], bool]] = {
    lanes.a_lane_is_claimed_in_the_order_its_tasks_became_pending: _by_lane,
    lanes.a_task_that_runs_again_goes_to_the_end_of_its_lane: _by_lane,
    lanes.alone_tasks_stand_before_the_others_of_their_lane: _by_lane,
    lanes.tasks_of_unknown_types_keep_their_place_in_their_lane: _by_lane,
    lanes.tasks_let_in_by_a_limit_arrive_then: _by_lane,
    lanes.one_claim_answers_by_priority_then_arrival: _by_lane_across_queues,
    batches.a_batch_is_handled_in_order_across_queues: _across_queues,
    enqueue.an_id_is_one_task_whatever_queue_is_named: _across_queues,
    queues.queues_of_equal_weight_take_turns: _across_queues,
    queues.turns_follow_the_weights: _across_queues,
    queues.one_claim_of_many_is_shared_like_many_claims_of_one: _across_queues,
    queues.turns_are_remembered_between_claims_and_sessions: _across_queues,
    queues.a_queue_that_was_empty_does_not_save_up_turns: _across_queues,
    queues.the_weight_of_a_queue_can_be_changed: _across_queues,
}
"""Rules that bind only some engines, though their subject binds all: docs/engine.md says why."""


def _rules_of(
    module: ModuleType, applies: Callable[[EngineInfo], bool] = _always
) -> Iterator[Rule]:
    subject = module.__name__.rpartition(".")[2]
    for name, value in vars(module).items():
        public = not name.startswith("_") and inspect.iscoroutinefunction(value)
        if public and value.__module__ == module.__name__:
            text = inspect.getdoc(value) or ""
            yield Rule(subject, name, text, value, NARROWED.get(value, applies))


RULES: tuple[Rule, ...] = (
    *_rules_of(enqueue),
    *_rules_of(unique),
    *_rules_of(capacity),
    *_rules_of(claim),
    *_rules_of(order, _by_task),
    *_rules_of(lanes),
    *_rules_of(queues),
    *_rules_of(concurrency),
    *_rules_of(rates),
    *_rules_of(settle),
    *_rules_of(fencing),
    *_rules_of(attempts),
    *_rules_of(children),
    *_rules_of(upstream),
    *_rules_of(extend),
    *_rules_of(cancel),
    *_rules_of(retry),
    *_rules_of(reclaim),
    *_rules_of(fire),
    *_rules_of(limits),
    *_rules_of(promote),
    *_rules_of(prune),
    *_rules_of(documents),
    *_rules_of(find),
    *_rules_of(stats),
    *_rules_of(feed),
    *_rules_of(history),
    *_rules_of(restore),
    *_rules_of(batches),
    *_rules_of(sessions),
    *_rules_of(transactions, _transactional),
)
"""Every engine rule, in the order of the documentation."""
