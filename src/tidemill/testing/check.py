"""Runs the engine rules against an engine, wherever it was written."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tidemill.errors import ConfigError
from tidemill.testing.lab import Lab, LabClock, MakeEngine
from tidemill.testing.rules import RULES, Rule


@asynccontextmanager
async def open_lab(make_engine: MakeEngine) -> AsyncIterator[Lab]:
    """A lab with a fresh, migrated engine, which is closed in the end."""
    if sys.flags.optimize:
        raise ConfigError("engine rules are assert statements: run Python without -O")
    clock = LabClock()
    engine = make_engine(clock)
    try:
        await engine.migrate()
        yield Lab(engine, clock)
    finally:
        await engine.close()


async def check_rule(rule: Rule, make_engine: MakeEngine) -> bool:
    """Check one rule on a fresh engine: AssertionError when it is broken.

    False when the engine's `info` says that it does not promise what the rule is about.
    """
    async with open_lab(make_engine) as lab:
        if not rule.applies(lab.engine.info):
            return False
        await rule.check(lab)
        return True


async def check_engine(make_engine: MakeEngine, rules: Sequence[Rule] = RULES) -> None:
    """Check an engine against all rules; raises one ExceptionGroup with an error per broken rule.

    `make_engine` is called once per rule with a virtual clock and must answer an engine on a new,
    empty store.
    """
    broken: list[Exception] = []
    for rule in rules:
        try:
            await check_rule(rule, make_engine)
        except Exception as error:  # noqa: BLE001  # any error of an engine breaks the rule
            error.add_note(f"engine rule: {rule.name} ({rule.text})")
            broken.append(error)
    if broken:
        raise ExceptionGroup(f"{len(broken)} of {len(rules)} engine rules are broken", broken)
