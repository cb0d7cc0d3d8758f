"""The command line as its users meet it: in this process, and as programs with a real worker."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.tests.mailroom.test_importing import LINE, mail
from tidemill.engines import open_engine
from tidemill_apps.mailroom.cli import main
from tidemill_apps.mailroom.cli.texts import Say, choose_language, texts_of
from tidemill_apps.mailroom.cli.tree import command_tree
from tidemill_apps.mailroom.tasks import app

COMMAND = (sys.executable, "-m", "tidemill_apps.mailroom")
WORKER = (sys.executable, "-m", "tidemill", "-A", "tidemill_apps.mailroom.tasks:app", "worker")

Run = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the mailroom, with nothing in it; and a file with three mails."""
    folder = tmp_path / "mailroom"
    monkeypatch.setenv("TIDEMILL_MAILROOM_DIR", str(folder))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    texts = ["The tide is coming.\n", "The wheel is broken.\n", "Lunch on Friday?\n"]
    mails = [mail(number, text) for number, text in enumerate(texts)]
    (tmp_path / "three.mbox").write_bytes(b"\n".join(LINE + each for each in mails))
    monkeypatch.chdir(tmp_path)
    app.use_engine(open_engine(f"sqlite:///{folder}/tasks.db"))
    yield folder
    app.use_engine(None)


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must succeed; answers its JSON."""

    def ran(*argv: str) -> Any:
        capsys.readouterr()
        assert main([*argv, "-o", "json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return ran


def test_mail_is_imported_once_listed_shown_labelled_and_counted(run: Run) -> None:
    done = run("import", "three.mbox")
    assert done == {"fetched": 3, "new": 3, "duplicate": 0, "malformed": 0, "skipped": 0}
    assert run("import", "three.mbox")["new"] == 0
    first = run("mails", "--limit", "2")
    rest = run("mails", "--limit", "2", "--after", first["cursor"])
    subjects = [each["subject"] for each in first["mails"] + rest["mails"]]
    assert sorted(subjects) == ["Mail 0", "Mail 1", "Mail 2"]
    assert rest["cursor"] is None
    mail_id = rest["mails"][0]["id"]
    shown = run("show", mail_id[:8])
    assert (shown["id"], shown["subject"], shown["analysis"]) == (mail_id, subjects[2], None)
    assert run("label", mail_id[:8], "spam") == {"id": mail_id, "label": "spam"}
    assert run("show", mail_id)["label"] == "spam"
    assert run("label", mail_id, "none")["label"] is None
    sender = shown["sender"]
    assert [each["id"] for each in run("mails", "--contact", sender.upper())["mails"]] == [mail_id]
    assert run("mails", "--until", "2001-01-01")["mails"] == []
    counted = run("stats")
    assert (counted["mails"], counted["unindexed"], counted["analyzed"]) == (3, 3, 0)


def test_a_command_without_a_worker_says_how_to_start_one(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", "three.mbox")
    for command in (["train"], ["reindex"], ["sync"]):
        assert main(command) == 0
        said = capsys.readouterr()
        assert "tidemill -A tidemill_apps.mailroom.tasks:app up" in said.err
        assert re.match(r"TASK +[0-9a-f-]{36}\n", said.out)


def test_contexts_and_accounts_come_and_go(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    added = run("context", "add", "Mill", "-k", "tide", "-k", "wheel", "-s", "ann@example.org")
    (context,) = run("context", "ls")["contexts"]
    assert context["id"] == added["context"]["id"]
    assert (context["keywords"], context["mails"]) == (["tide", "wheel"], 0)
    assert main(["context", "add", "Mill", "-k", "tide"]) == 1
    assert main(["context", "add", "Nothing"]) == 2
    assert run("context", "rm", "Mill")["removed"] is True
    monkeypatch.setattr(sys, "stdin", io.StringIO("canary-pass\n"))
    account = run("account", "add", "mail.example.org", "ann", "--security", "starttls")
    assert (account["port"], account["state"]) == (143, "active")
    (listed,) = run("account", "ls")["accounts"]
    assert listed == account
    assert "canary" not in json.dumps(listed)
    assert run("sync", "ann")["task_id"] != run("sync")["task_id"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["account", "add", "mail.example.org", "bob"]) == 2
    assert main(["account", "add", "mail.example.org", "bob", "--password", "x"]) == 2
    assert run("account", "rm", account["id"][:8])["id"] == account["id"]
    written = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"canary-pass" not in written


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["import", "nowhere"], 3, "there is no file or folder nowhere"),
        (["show", "ffff"], 3, "there is no mail ffff"),
        (["show", "%"], 3, "there is no mail %"),
        (["mails", "--context", "no"], 3, "there is no context no"),
        (["account", "rm", "no"], 3, "there is no account no"),
        (["sync", "no"], 3, "there is no account no"),
        (["mails", "--user", "nobody"], 3, "there is no user nobody yet"),
        (["mails", "--after", "x"], 2, "the cursor 'x' is not one"),
        (["mails", "--limit", "0"], 2, "argument --limit: invalid number value: '0'"),
        (["mails", "--since", "noon"], 2, "argument --since: invalid date value: 'noon'"),
        (["mails", "--lang", "xx"], 2, "there are texts in en and zh"),
        (["search", "zebra"], 1, "no mail answers that"),
        (["serve", "--host", "192.0.2.1"], 2, "cannot listen on 192.0.2.1:8090"),
        (["serve", "--port", "99999"], 2, "port 99999 is not within 0..65535"),
        ([], 2, "the following arguments are required: COMMAND"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_stable_exit_code(
    run: Run, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, said: str
) -> None:
    run("token")
    assert main(argv) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors


def test_the_engine_that_cannot_be_opened_has_a_code_of_its_own(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    (home / "tasks.db").mkdir()
    assert main(["import", "three.mbox"]) == 4
    assert "error: " in capsys.readouterr().err


def test_tables_show_chinese_in_columns(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "From: =?utf-8?B?56Oo5Z2K?= <mo@example.org>\nMessage-ID: <z>\nSubject: 水闸\n"
    Path("zh.eml").write_text(f"{head}\n潮水来了。\n", "utf-8")
    run("import", "zh.eml")
    assert main(["mails", "--lang", "zh"]) == 0
    heading, line, *_ = capsys.readouterr().out.splitlines()
    assert heading.split() == ["邮件", "发出时间", "发件人", "类别", "紧急程度", "主题"]
    assert line.split()[3] == "磨坊"
    assert main(["import", "three.mbox", "--lang", "zh"]) == 0
    told = capsys.readouterr()
    assert "新增" in told.out
    assert "导入 100%  3 封邮件，新增 3，格式有误 0" in told.err
    assert "没有工作进程在运行" in told.err
    assert main(["show", "ffff", "--lang=zh"]) == 3
    assert capsys.readouterr().err.startswith("错误：没有邮件 ffff")


# ------------------------------------------------------------------------------------------ texts


def test_both_languages_say_the_same_things() -> None:
    english, chinese = texts_of("en").sentences, texts_of("zh").sentences
    assert english.keys() == chinese.keys()
    for key, sentence in english.items():
        names = sorted(re.findall(r"\{(\w+)[^}]*\}", sentence))
        assert sorted(re.findall(r"\{(\w+)[^}]*\}", chinese[key])) == names, key
        assert key == "option.lang" or re.search(r"[\u4e00-\u9fff]", chinese[key]), key


def pages(parser: ArgumentParser) -> Iterator[str]:
    yield parser.format_help()
    for action in parser._actions:  # argparse shows its commands nowhere else
        if isinstance(action.choices, dict):
            for each in action.choices.values():
                yield from pages(each)


def test_help_pages_are_chinese_throughout() -> None:
    say = Say(texts_of("zh"))
    found = [say.of_parser(page) for page in pages(command_tree(say))]
    assert len(found) == 21
    for page in found:
        for english in ("usage", "options:", "arguments", "show this", "commands"):
            assert english not in page


@pytest.mark.parametrize(
    ("argv", "environment", "language"),
    [
        ([], {}, "en"),
        ([], {"LANG": "zh_CN.UTF-8"}, "zh"),
        ([], {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        (["--lang", "zh-Hans"], {"LANG": "C"}, "zh"),
        (["--lang=en"], {"LANG": "zh_CN"}, "en"),
    ],
)
def test_the_language_is_said_or_that_of_the_environment(
    argv: list[str], environment: dict[str, str], language: str
) -> None:
    assert choose_language(argv, environment) == language


# --------------------------------------------------------------------------------------- programs


def program(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *argv],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        timeout=100,
    )


@pytest.mark.timeout(180)
def test_import_waits_for_a_real_worker_and_search_finds_the_mail(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = subprocess.Popen(WORKER)
    try:
        done = program("import", "three.mbox", "--wait", "-o", "json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["new"]) == (0, 3), done.stderr
        assert told["analyses"] == {
            "pending": 0, "running": 0, "completed": 3, "failed": 0, "cancelled": 0
        }  # fmt: skip
        assert "analysis 100%  0 pending, 0 running, 3 completed" in done.stderr
        found = program("search", "is the mill wheel damaged?", "-k", "1", "-o", "json")
        (hit,) = json.loads(found.stdout)["hits"]
        assert hit["mail"]["subject"] == "Mail 1"
        assert main(["show", hit["mail"]["id"]]) == 0
        shown = capsys.readouterr().out
        assert "The wheel is broken." in shown
        assert "(extractive)" in shown
        assert [each["mails"] for each in run("contacts")["contacts"]] == [1, 1, 1]
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0


def test_a_worker_may_be_started_before_anything_is_there(home: Path) -> None:
    assert not home.exists()
    worker = subprocess.Popen(WORKER, stderr=subprocess.PIPE, text=True)
    try:
        assert worker.stderr is not None
        said = next((line for line in worker.stderr if "ready" in line or "error" in line), "")
        assert "is ready" in said
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert (home / "tasks.db").is_file()


def test_serve_answers_on_the_loopback_until_it_is_told_to_stop(home: Path) -> None:
    token = program("token").stdout.strip()
    serving = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert serving.stderr is not None
        ready = next(line for line in serving.stderr if "http" in line)
        found = re.search(r"http://127\.0\.0\.1:\d+", ready)
        assert found is not None
        url = f"{found[0]}/statistics"
        assert httpx.get(url).status_code == 401
        answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["mails"]) == (200, 0)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=60)
    assert serving.returncode == 0
