import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements/dev.txt").read_text("utf-8")


def normal(requirement: str) -> str:
    """The normalised name of the distribution that a requirement names."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


LOCKED = {normal(line) for line in LOCK.splitlines() if re.match(r"[a-z0-9]", line)}


def test_the_lock_names_no_address_and_no_path() -> None:
    requirements = [line for line in LOCK.splitlines() if line.strip(" ")[:1] not in {"", "#"}]
    assert requirements
    for line in requirements:
        assert re.fullmatch(
            r"[a-z0-9-]+(\[[a-z,]+\])?==[0-9][\w.]*( ; [^;/]+)? \\"
            r"|    --hash=sha256:[0-9a-f]{64}( \\)?",
            line,
        ), line
    assert "://" not in LOCK


def test_every_locked_version_has_a_hash() -> None:
    for pinned in re.split(r"\n(?=[a-z0-9])", LOCK.strip()):
        assert "--hash=sha256:" in pinned, pinned


@pytest.mark.parametrize("folder", [".", "apps"])
def test_the_lock_holds_every_dependency_of_both_distributions(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    named = {normal(each) for each in sum(extras, project["dependencies"])}
    assert named - {"tidemill", "tidemill-apps"} <= LOCKED


def test_the_lock_holds_every_tool_of_development() -> None:
    lines = (ROOT / "requirements/dev.in").read_text("utf-8").splitlines()
    assert {normal(line) for line in lines if re.match(r"[a-z]", line)} <= LOCKED


def test_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))


def test_every_exception_of_the_linter_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    rules = re.findall(r"^ +\"[A-Z]+[0-9]*\",(.*)$", text, re.MULTILINE)
    assert len(rules) > 20
    assert all(re.match(r" +# \S", rest) for rest in rules)
