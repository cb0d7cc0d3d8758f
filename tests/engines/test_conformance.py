"""Every engine keeps every rule of docs/engine.md that it promises."""

import pytest

from tests.engines.makers import ENGINES, SPREAD, Kind
from tidemill.testing import RULES, MakeEngine, Rule, check_rule


@pytest.mark.parametrize("kind", [*ENGINES, *SPREAD], indirect=True)
@pytest.mark.parametrize("rule", RULES, ids=[f"{rule.subject}:{rule.name}" for rule in RULES])
async def test_engine(rule: Rule, kind: Kind, make_engine: MakeEngine) -> None:
    promised = await check_rule(rule, make_engine)
    assert promised == rule.applies(kind.promises)
