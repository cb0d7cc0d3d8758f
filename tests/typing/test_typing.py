"""A type checker knows arguments and results, and rejects what is wrong."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def mypy(*files: Path) -> tuple[int, str]:
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout + answer.stderr


def test_right_uses_are_accepted_and_every_mistake_is_reported() -> None:
    """`mistakes.py` expects each error by its code; one that is missing is an unused ignore."""
    assert mypy(HERE / "uses.py", HERE / "mistakes.py") == (0, "")


def test_the_check_sees_a_mistake_that_is_not_expected(tmp_path: Path) -> None:
    mistakes = (HERE / "mistakes.py").read_text(encoding="utf-8")
    bare, expected = re.subn(r"  # type: ignore\[([a-z-]+)\].*", r"", mistakes)
    assert expected > 20
    unexpected = tmp_path / "unexpected.py"
    unexpected.write_text(bare, encoding="utf-8")
    code, told = mypy(unexpected)
    assert code == 1
    wrong = {number for number, line in _numbered(mistakes) if "# type: ignore" in line}
    reported = {int(number) for number in re.findall(r"unexpected\.py:(\d+): error:", told)}
    assert reported == wrong


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines(), 1))
