import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import Shop
from tidemill.cli.output import age, print_table, text_of
from tidemill.outcome import Completed


def test_columns_stand_below_each_other_also_with_wide_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["名称", "N"], [["a", "1"], ["队列", "22"]])
    assert capsys.readouterr().out == "名称  N\na     1\n队列  22\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "✓"),
        (False, ""),
        (12345, "12,345"),
        (1.5, "1.5"),
        (["a", 1], "a, 1"),
        ({"a": "中"}, '{"a":"中"}'),
    ],
)
def test_a_cell_shows_a_value_for_people(value: object, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.2, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (864000, "10 d")],
)
def test_an_age_is_told_in_its_largest_fitting_unit(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


def on_a_terminal(*words: str, **env: str) -> str:
    """What a command writes on a terminal of 200 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm-256color", **env},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so that the other side is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_gets_a_drawn_table_and_bars(shop: Shop) -> None:
    (task_id,) = shop.enqueue(shop.new())
    table = on_a_terminal("task", "ls", "--engine", shop.url)
    assert task_id in table
    assert "──" in table
    assert "━" in on_a_terminal("queue", "purge", "default", "--yes", "--engine", shop.url)


def test_a_bar_is_drawn_also_before_it_is_known_of_how_many(shop: Shop) -> None:
    shop.end(shop.new(), shop.new(), outcome=Completed())
    assert "2/2" in on_a_terminal("backup", "b.gz", "--engine", shop.url)
    dry = ["prune", "--older-than", "0s", "--dry-run"]
    assert "2/?" in on_a_terminal(*dry, "--engine", shop.url)


def test_no_color_means_no_colour(shop: Shop) -> None:
    words = ["queue", "purge", "default", "--yes", "--engine", shop.url]
    shop.enqueue(shop.new())
    assert "\x1b[3" in on_a_terminal(*words, NO_COLOR="")
    shop.enqueue(shop.new())
    plain = on_a_terminal(*words, NO_COLOR="1")
    assert "━" in plain
    assert "\x1b[3" not in plain


def test_a_narrow_terminal_wraps_the_findings_of_doctor(shop: Shop) -> None:
    written = on_a_terminal("doctor", "--engine", shop.url, COLUMNS="80")
    assert "…" not in written
    assert "power failure" in written
