"""What a type checker and a reader of the documentation can hold the seam to."""

import inspect
import re
from pathlib import Path

from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.redis import RedisEngine
from tidemill.engines.sqlite import SqliteEngine
from tidemill.testing import RULES, FlakyEngine

# Assignments, because that is where a type checker compares a class with a Protocol.
_memory: type[Engine] = MemoryEngine
_sqlite: type[Engine] = SqliteEngine
_redis: type[Engine] = RedisEngine
_flaky: type[Engine] = FlakyEngine


def test_the_seam_stays_under_thirty_names() -> None:
    verbs = [name for name in vars(Engine) if not name.startswith("_")]
    assert len(verbs) < 30


def test_rules_have_names_of_their_own_and_say_where_they_are_stated() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert [rule.name for rule in RULES if not rule.text] == []
    assert len(RULES) > 200


def test_every_numbered_rule_of_the_documentation_is_checked() -> None:
    stated = _numbered(Path(__file__).parents[2] / "docs" / "engine.md")
    checked = " ".join(_spelled_out(rule.text) for rule in RULES)
    missing = {number for number in stated if not re.search(rf"\b{re.escape(number)}\b", checked)}
    assert missing == set()


def test_every_verb_is_called_by_a_rule() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(inspect.getfile(FlakyEngine)).parent).rglob("*.py")
        if path.name != "flaky.py"
    )
    verbs = [name for name in vars(Engine) if inspect.isfunction(getattr(Engine, name))]
    calls = rf"engine\.({'|'.join(verbs)})\b"
    assert set(re.findall(calls, source)) == {name for name in verbs if not name.startswith("_")}


def _numbered(page: Path) -> set[str]:
    """Sections as `5`, and their numbered rules as `3.1`."""
    section, found = "", set()
    for line in page.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## (\d+)\. ", line):
            section = heading[1]
            found.add(section)
        elif (item := re.match(r"(\d+)\. ", line)) and section:
            found.discard(section)
            found.add(f"{section}.{item[1]}")
    return found


def _spelled_out(text: str) -> str:
    """`3.2-3.4` names the rules between, too."""
    return re.sub(
        r"(\d+)\.(\d+)-\1\.(\d+)",
        lambda span: " ".join(f"{span[1]}.{n}" for n in range(int(span[2]), int(span[3]) + 1)),
        text,
    )
