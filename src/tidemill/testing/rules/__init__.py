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
    children,
    claim,
    documents,
    enqueue,
    extend,
    feed,
    fencing,
    find,
    fire,
    limits,
    order,
    promote,
    prune,
    queues,
    reclaim,
    retry,
    sessions,
    settle,
    stats,
    transactions,
    unique,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it is called, where it is stated, how it is checked, which engines it binds.

    `subject` is the file under `tidemill/testing/rules` that holds it.
    """

    subject: str
    name: str
    text: str
    check: Callable[[Lab], Awaitable[None]]
    applies: Callable[[EngineInfo], bool]


def _always(_info: EngineInfo) -> bool:
    return True


def _ordered(info: EngineInfo) -> bool:
    return info.ordered == "task"


def _transactional(info: EngineInfo) -> bool:
    return info.transactional


def _rules_of(
    module: ModuleType, applies: Callable[[EngineInfo], bool] = _always
) -> Iterator[Rule]:
    subject = module.__name__.rpartition(".")[2]
    for name, value in vars(module).items():
        public = not name.startswith("_") and inspect.iscoroutinefunction(value)
        if public and value.__module__ == module.__name__:
            yield Rule(subject, name, inspect.getdoc(value) or "", value, applies)


RULES: tuple[Rule, ...] = (
    *_rules_of(enqueue),
    *_rules_of(unique),
    *_rules_of(claim),
    *_rules_of(order, _ordered),
    *_rules_of(queues),
    *_rules_of(settle),
    *_rules_of(fencing),
    *_rules_of(attempts),
    *_rules_of(children),
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
    *_rules_of(batches),
    *_rules_of(sessions),
    *_rules_of(transactions, _transactional),
)
"""Every engine rule, in the order of the documentation."""
