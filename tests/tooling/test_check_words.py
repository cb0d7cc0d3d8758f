from pathlib import Path

import pytest

from tools import check_words
from tools.check_words import check
from tools.words import FORBIDDEN, SEAM_FORBIDDEN, UNCHECKED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "source",
    [
        "def fetch(): ...",
        "async def _fetch_tasks(): ...",
        "class TaskFetcher: ...",
        "class HTTPFetch: ...",
        "FETCHED = 1",
        "def claim(fetch_limit): ...",
        "def claim(*fetched): ...",
        "self.fetched = 1",
        "class Task:\n    fetched_at: int",
        "for fetched in []: ...",
        "import asyncio as fetching",
        "try: ...\nexcept ValueError as fetch: ...",
        "match 1:\n    case fetched: ...",
        "match {}:\n    case {**fetched}: ...",
        "(fetched := 1)",
        "with open('x') as fetched: ...",
    ],
)
def test_a_forbidden_word_is_found_wherever_python_defines_a_name(source: str) -> None:
    assert check("src/tidemill/task.py", source) != []


@pytest.mark.parametrize(
    "source",
    [
        "row = cursor.fetchone()",
        "rows = client.fetch()",
        "connection.driver = 1",
        "from queue import topic",
        "send(job=1)",
        "text = 'a job'  # fetch it",
        "'''A job.'''",
        "heartbeat = deadline = executor = retries = 1",
        "enc_hook = None",
        "def log(message, *args, **kwargs): ...",
    ],
)
def test_words_that_others_chose_and_longer_words_are_left_alone(source: str) -> None:
    assert check("src/tidemill/task.py", source) == []


def test_a_complaint_says_where_what_and_which_word_to_use() -> None:
    assert check("src/tidemill/task.py", "\n\nclass DeadTask: ...") == [
        "src/tidemill/task.py:3: DeadTask contains 'Dead'; the word here is failed"
    ]


def test_the_name_of_a_file_is_a_name() -> None:
    assert check("src/tidemill/worker/reaper.py", "") != []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("claim.sql", "SELECT id FROM jobs"),
        ("claim.sql", "UPDATE tasks\nSET fetched_at = :now"),
        ("claim.lua", "local acked = redis.call('XACK', KEYS[1])"),
        ("claim.lua", "local function reap(id) end"),
    ],
)
def test_a_forbidden_word_is_found_in_scripts(file: str, source: str) -> None:
    assert check(f"src/tidemill/engines/{file}", source) != []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            "claim.sql",
            "-- a job\n/* a\njob */ SELECT 'it''s a job' FROM tasks FETCH FIRST ROW ONLY",
        ),
        ("claim.lua", "-- a job\n--[[ a\njob ]] return redis.call(\"XACK\", 'job', cjson.ack)"),
    ],
)
def test_comments_literals_and_keywords_of_scripts_are_left_alone(file: str, source: str) -> None:
    assert check(f"src/tidemill/engines/{file}", source) == []


def test_lines_are_counted_across_comments_of_many_lines() -> None:
    source = "/* one\ntwo */\nSELECT job FROM tasks"
    assert check("src/tidemill/engines/claim.sql", source)[0].startswith(
        "src/tidemill/engines/claim.sql:3: job "
    )


def test_words_of_the_seam_are_forbidden_at_the_seam_only() -> None:
    assert check("src/tidemill/engines/memory.py", "def push(): ...") != []
    assert check("src/tidemill/engine.py", "class Store: ...") != []
    assert check("src/tidemill/engine.py", "finished = 1") == []
    assert check("src/tidemill/cli/bar.py", "def push(): ...") == []


def test_the_applications_may_use_words_of_their_subjects() -> None:
    assert check("apps/src/tidemill_apps/wiki.py", "dead_links = topics = 1") == []
    assert check("apps/src/tidemill_apps/wiki.py", "class WikiJob: ...") != []


def test_the_check_fails_on_a_planted_word_and_passes_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "src" / "tidemill"
    package.mkdir(parents=True)
    (package / "task.py").write_text("attempts = 1\n")
    assert check_words.main(tmp_path) == 0
    (package / "engine.lua").write_text("local tries = 1\n")
    assert check_words.main(tmp_path) == 1
    assert "src/tidemill/engine.lua:1: tries" in capsys.readouterr().out


def test_every_word_that_the_guide_forbids_is_checked_or_explained() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("| never |")[2]
    never = {
        word.strip()
        for row in table.partition("\n\n")[0].splitlines()[2:]
        for word in row.split("|")[3].split(",")
    }
    assert never == FORBIDDEN.keys() | SEAM_FORBIDDEN.keys() | UNCHECKED.keys()
