"""What git and ffmpeg say when they fail, asked of the programs themselves."""

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import pytest

from tidemill import Permanent
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.program_errors import ffmpeg_error, git_error

TEST_VIDEO = ["-f", "lavfi", "-i", "testsrc=d=1"]


def failed(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """The exit code of a program that must fail, and what it said."""
    done = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    return done.returncode, done.stderr


def git(folder: Path, *words: str) -> Permanent | Unavailable:
    return git_error(*failed(["git", *words], folder))


def ffmpeg(folder: Path, *words: str) -> Permanent | Unavailable:
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", "error"]
    return ffmpeg_error(*failed([*program, "-y", *words], folder))


def silent_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def test_a_repository_that_is_not_there_ends_the_task(tmp_path: Path) -> None:
    for place in (str(tmp_path / "none"), f"file://{tmp_path}"):
        error = git(tmp_path, "clone", place, "copy")
        assert isinstance(error, Permanent)
        assert error.code == "not_found"


def test_a_branch_that_is_not_there_and_a_wrong_option_end_the_task(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "here"], cwd=tmp_path, check=True)
    branch = git(tmp_path, "-C", "here", "fetch", ".", "nope")
    option = git(tmp_path, "clone", "--nope")
    assert [isinstance(each, Permanent) and each.code for each in (branch, option)] == [
        "not_found",
        "bad_request",
    ]


def test_a_server_that_is_away_is_asked_again_and_its_password_is_not_told(tmp_path: Path) -> None:
    url = f"http://ann:canary@127.0.0.1:{silent_port()}/x.git"
    error = git(tmp_path, "clone", url, "copy")
    assert isinstance(error, Unavailable)
    assert error.code == "git_128"
    assert "canary" not in str(error)


def test_a_repository_that_another_process_holds_is_tried_again(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".git" / "index.lock").touch()
    (tmp_path / "file").touch()
    assert isinstance(git(tmp_path, "add", "file"), Unavailable)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("remote: Invalid username or token.\nfatal: Authentication failed for 'x'", "auth_failed"),
        ("git@host: Permission denied (publickey).", "auth_failed"),
        ("fatal: unable to access 'x': The requested URL returned error: 403", "forbidden"),
        ("fatal: transport 'file' not allowed", "forbidden"),
        ("fatal: unable to access 'x': SSL certificate problem: expired", "untrusted"),
        ("error: object file .git/objects/aa is empty", "corrupt"),
    ],
)
def test_what_git_says_of_what_stays_ends_the_task(said: str, code: str) -> None:
    error = git_error(128, said)
    assert isinstance(error, Permanent)
    assert error.code == code


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-i", "missing.mp4", "out.mp4"], "not_found"),
        (["-i", "bad.mp4", "out.mp4"], "corrupt"),
        ([*TEST_VIDEO, "-c:v", "nosuch", "out.mp4"], "not_supported"),
        ([*TEST_VIDEO, "-vf", "nosuch", "out.mp4"], "not_supported"),
        ([*TEST_VIDEO, "out.nosuch"], "not_supported"),
        ([*TEST_VIDEO, "-map", "0:a", "out.mp4"], "bad_request"),
    ],
)
def test_what_ffmpeg_cannot_do_ends_the_task(tmp_path: Path, words: list[str], code: str) -> None:
    (tmp_path / "bad.mp4").write_text("not a video")
    error = ffmpeg(tmp_path, *words)
    assert isinstance(error, Permanent)
    assert error.code == code


def test_a_video_whose_server_is_away_is_asked_for_again(tmp_path: Path) -> None:
    error = ffmpeg(tmp_path, "-i", f"http://127.0.0.1:{silent_port()}/x.mp4", "out.mp4")
    assert isinstance(error, Unavailable)


def test_a_program_that_was_killed_is_run_again() -> None:
    for told in (git_error(-signal.SIGKILL, ""), ffmpeg_error(-signal.SIGKILL, "")):
        assert isinstance(told, Unavailable)
        assert "was ended by SIGKILL" in str(told)


def test_a_failure_that_says_nothing_known_passes_for_git_and_stays_for_ffmpeg() -> None:
    assert isinstance(git_error(1, "odd"), Unavailable)
    assert isinstance(ffmpeg_error(1, "odd"), Permanent)
