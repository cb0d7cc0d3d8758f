"""The demo as its users start it, and the parts of it that they see."""

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest

from tidemill import Progress, State, Transition
from tidemill_apps.mailroom.demo.board import Board
from tidemill_apps.mailroom.demo.mails import LETTERS, mailbox
from tidemill_apps.mailroom.demo.stage import Expected, judge
from tidemill_apps.mailroom.demo.texts import CHINESE, ENGLISH, texts_for
from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.tasks.analyze import STEPS

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WITHOUT_PYMAP = (
    "import sys; sys.modules['pymap'] = None;"
    " from tidemill_apps.mailroom.demo.__main__ import main; sys.exit(main([]))"
)
"""As where pymap is not installed: nothing can import it."""


def entry(
    task_id: str, state: State, percent: float | None = None, task_type: str = "email:analyze"
) -> Transition:
    progress = None if percent is None else Progress(percent, step="spam")
    return Transition(NOW, "", task_id, task_type, "q", state, 1, progress)


def demo(words: list[str], place: Path, language: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env={**os.environ, "LC_ALL": language, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.timeout(180)
def test_the_demo_syncs_understands_finds_and_ends_by_itself(tmp_path: Path) -> None:
    done = demo(["-m", "tidemill_apps.mailroom.demo"], tmp_path, "zh_CN.UTF-8")
    assert (done.returncode, done.stderr) == (0, "")
    serving = re.search(r"一台装有 42 封邮件的 IMAP 服务器在端口 (\d+) 上", done.stdout)
    assert serving is not None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(serving[1])))
    assert "已分析 42 / 42 封邮件" in done.stdout
    assert "其中 34 封可以搜索到" in done.stdout
    assert done.stdout.count("  ✓ ") == 3
    assert "再来一次：新邮件 0 封" in done.stdout
    assert "email:sync 以 失败 结束，尝试 1 次：auth_failed" in done.stdout
    assert "\x1b" not in done.stdout
    assert (tmp_path / ".tidemill" / "mailroom-demo" / "tasks.db").is_file()


@pytest.mark.timeout(180)
def test_without_an_imap_server_the_demo_imports_and_says_so(tmp_path: Path) -> None:
    leftover = tmp_path / ".tidemill" / "mailroom-demo" / "letters" / "of-an-earlier-run.eml"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"Subject: old\n\nold")
    done = demo(["-c", WITHOUT_PYMAP], tmp_path, "C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pymap, the IMAP server for development, is not installed here" in done.stdout
    assert "42 mails stored and 42 analysed" in done.stdout
    assert "the same once more: 0 new mails" in done.stdout
    assert not leftover.exists()


def test_the_mails_are_what_the_demo_says_of_them() -> None:
    mails = [parse_mail(data) for data in mailbox(NOW)]
    assert mailbox(NOW) == mailbox(NOW)
    assert [mail.subject for mail in mails] == [letter.subject for letter in LETTERS]
    assert len({mail.key for mail in mails}) == len(mails) == 42
    assert sum(letter.is_spam for letter in LETTERS) == 8
    assert sum(bool(mail.defects) for mail in mails) == 1
    assert sorted(mail.sent_at for mail in mails if mail.sent_at) == [
        mail.sent_at for mail in mails
    ]
    good = [mail for mail, letter in zip(mails, LETTERS, strict=True) if not letter.is_spam]
    assert sum(not mail.message_id for mail in good) == 1
    assert sum(mail.is_page_only for mail in good) == 1
    assert {each.name for mail in good for each in mail.attachments} == {
        "invoice-2207.csv",
        "review.ics",
    }


def test_the_board_counts_states_steps_and_what_a_mail_sets_off() -> None:
    board = Board()
    board.take(entry(task_id, State.PENDING) for task_id in "abcd")
    board.take([entry("c1", State.PENDING, task_type="contact:update")])
    assert (board.total, board.percent, board.synced) == (4, 0, None)
    board.take([entry("a", State.RUNNING), entry("a", State.RUNNING, 50)])
    assert (board.percent, board.steps) == (12.5, Counter(spam=1))
    board.take(entry(task_id, State.COMPLETED) for task_id in "abc")
    board.take([entry("d", State.FAILED)])
    assert board.states == Counter({State.COMPLETED: 3, State.FAILED: 1})
    assert (board.ended, board.percent, board.steps) == (4, 100, Counter())
    assert not board.through(4)
    board.take([entry("c1", State.COMPLETED, task_type="contact:update")])
    assert board.through(4)
    assert not board.through(5)


def test_the_board_knows_how_far_the_sync_is() -> None:
    board = Board()
    board.take([entry("s", State.RUNNING, 40, "email:sync")])
    assert (board.synced, board.total) == (40, 0)
    board.take([entry("s", State.COMPLETED, None, "email:sync")])
    assert board.synced == 100


def test_an_expectation_that_is_not_met_fails_the_demo_with_a_clear_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert judge(ENGLISH, []) == 0
    assert capsys.readouterr().out == ""
    assert judge(ENGLISH, [Expected("again", 3, 0)]) == 1
    told = "\n✗ the demo has failed:\n  mails stored the second time: 3, where it should be 0\n"
    assert capsys.readouterr().out == told


@pytest.mark.parametrize(
    ("environment", "texts"),
    [
        ({}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, ENGLISH),
    ],
)
def test_the_language_is_that_of_the_environment(
    environment: dict[str, str], texts: object
) -> None:
    assert texts_for(environment) is texts


def test_both_languages_say_the_same_with_the_same_values() -> None:
    assert CHINESE.doing.keys() == ENGLISH.doing.keys() == set(list(STEPS)[:-1])
    assert CHINESE.facts.keys() == ENGLISH.facts.keys()
    assert CHINESE.states.keys() == {state.value for state in State}
    for name in ENGLISH.__struct_fields__:
        english, chinese = getattr(ENGLISH, name), getattr(CHINESE, name)
        if isinstance(english, str):
            assert Counter(fields(english)).keys() == Counter(fields(chinese)).keys(), name
        elif isinstance(english, tuple):
            assert len(english) == len(chinese), name


def fields(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name]
