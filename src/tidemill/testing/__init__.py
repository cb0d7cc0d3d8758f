"""What tests need: tasks run in virtual time, an engine checker, faults, and values.

`Harness` runs an application's tasks in its own tests without a worker and without waiting.
`check_engine` holds an engine to the rules of `docs/engine.md`; `FlakyEngine` is an engine that is
unavailable on purpose; `new_task` makes tasks that differ from a plain one only in what a test is
about.
"""

from tidemill.testing.builders import new_task, numbered_id
from tidemill.testing.check import check_engine, check_rule
from tidemill.testing.flaky import Fault, FlakyEngine, Plan, at_random, scripted
from tidemill.testing.harness import Harness
from tidemill.testing.lab import Lab, MakeEngine
from tidemill.testing.rules import RULES, Rule

__all__ = [
    "RULES",
    "Fault",
    "FlakyEngine",
    "Harness",
    "Lab",
    "MakeEngine",
    "Plan",
    "Rule",
    "at_random",
    "check_engine",
    "check_rule",
    "new_task",
    "numbered_id",
    "scripted",
]
