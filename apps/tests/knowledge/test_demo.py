"""The demo as its users start it, and the parts of it that they see."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemill import Progress, State, Transition
from tidemill_apps.knowledge.demo.__main__ import show_answer
from tidemill_apps.knowledge.demo.board import Board
from tidemill_apps.knowledge.demo.texts import CHINESE, ENGLISH, texts_for
from tidemill_apps.knowledge.indexing import STEPS
from tidemill_apps.knowledge.questions import QUESTIONS, Question
from tidemill_apps.knowledge.search import Passage


def entry(task_id: str, state: State, percent: float | None = None) -> Transition:
    progress = None if percent is None else Progress(percent)
    return Transition(datetime.now(UTC), "", task_id, "index", "q", state, 1, progress)


@pytest.mark.timeout(180)
def test_the_demo_indexes_answers_reports_the_bad_files_and_ends_by_itself(tmp_path: Path) -> None:
    """With the real encoder, as `make demo` starts it; in Chinese, to see that it can be."""
    done = subprocess.run(
        [sys.executable, "-m", "tidemill_apps.knowledge.demo"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    for question in QUESTIONS:
        assert question.text in done.stdout
        assert f"✓ {question.expected} 排在第" in done.stdout
    assert "失败：corrupt: bad/cut-off.pdf: not a readable PDF" in done.stdout
    assert "失败：empty: bad/empty.txt: the file has 0 bytes" in done.stdout
    assert "\x1b" not in done.stdout
    assert (tmp_path / ".tidemill" / "knowledge" / "tasks.db").is_file()


def test_an_answer_that_is_not_found_fails_the_demo_with_a_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    passage = Passage(str(tmp_path / "mills.md"), "Mills", 0, "The wheel turns.", 0.03, 1, None)
    right, wrong = Question("What turns?", "mills.md"), Question("What turns?", "wheels.md")
    assert show_answer(ENGLISH, right, [passage], tmp_path) == ""
    assert "✓ mills.md is number 1" in capsys.readouterr().out
    problem = show_answer(ENGLISH, wrong, [passage], tmp_path)
    assert problem == "✗ wheels.md is not among the first 1: the demo has failed"


def test_the_board_counts_what_ended_and_the_parts_of_what_runs() -> None:
    board = Board("index")
    board.take(entry(task_id, State.PENDING) for task_id in "abcd")
    assert (board.total, board.percent) == (4, 0)
    board.take([entry("a", State.RUNNING), entry("a", State.RUNNING, 50)])
    assert board.percent == 12.5
    assert board.take([entry("a", State.COMPLETED), entry("b", State.FAILED)]) == ["b"]
    assert (board.completed, board.failed, board.percent, board.running) == (1, 1, 50, {})
    other = entry("x", State.FAILED)
    assert Board("other").take([other]) == []


def test_a_board_knows_of_what_an_earlier_run_has_left() -> None:
    board = Board("index", live=3)
    board.take([entry("a", State.COMPLETED)])
    assert (board.ended, board.total) == (1, 3)


@pytest.mark.parametrize(
    ("environment", "texts"),
    [
        ({}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, ENGLISH),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, CHINESE),
    ],
)
def test_the_language_is_that_of_the_environment(
    environment: dict[str, str], texts: object
) -> None:
    assert texts_for(environment) is texts


def test_every_step_has_a_chinese_name() -> None:
    assert CHINESE.steps.keys() == STEPS.keys()
    assert len(CHINESE.commands) == len(ENGLISH.commands)
