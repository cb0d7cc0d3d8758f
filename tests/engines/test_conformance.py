"""Every engine keeps every rule of docs/engine.md."""

import pytest

from tidemill.testing import RULES, MakeEngine, Rule, check_rule


@pytest.mark.parametrize("rule", RULES, ids=[f"{rule.subject}:{rule.name}" for rule in RULES])
async def test_engine(rule: Rule, make_engine: MakeEngine, unpromised: frozenset[str]) -> None:
    promised = await check_rule(rule, make_engine)
    assert promised == (rule.subject not in unpromised)
