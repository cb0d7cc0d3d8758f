from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest

from tests.cli.conftest import APP, Said, Shop
from tidemill.cli.schedules.options import FIELDS
from tidemill.engine import SCHEDULE, Engine, Put
from tidemill.outcome import Failed
from tidemill.schedule import Misfire, Overlap, decode, encode
from tidemill.testing.builders import BROKE

DECLARING = """
from shop import add, app

app.schedule("daily", add, cron="0 9 * * *", timezone="Asia/Shanghai", payload={"a": 1})
"""
TICK = ("add", "tick", "add", "--every", "5m", "-p", '{"a": 1}')


def _call(shop: Shop, *words: str) -> Said:
    return shop.here("schedule", *words, "-A", APP)


def _json(shop: Shop, *words: str) -> Any:
    said = _call(shop, *words, "-o", "json")
    assert said.code == 0, said.err
    return said.json


def test_a_schedule_has_what_was_said(shop: Shop) -> None:
    record = _json(
        shop,
        *"add nightly add --cron".split(),
        "30 2 * * *",
        *"--timezone Europe/Berlin --queue other --priority 9 --max-attempts 2".split(),
        *"--timeout 1m --tag a --tag b --user u1 --project p1 --misfire all".split(),
        *"--misfire-limit 7 --grace 90 --overlap queue --expires 1h --paused".split(),
        *'--starts 2030-01-01T00:00 --ends 2031-01-01T00:00Z -p {"a":3}'.split(),
    )
    assert {name: record[name] for name in EXPECTED} == EXPECTED
    assert _json(shop, "show", "nightly") == record | {"last_error": None, "fires": []}
    page = shop.call("schedule", "show", "nightly").out
    assert "late instants           all (7)\n" in page
    assert "its tasks expire after  1 h\n" in page


EXPECTED = {
    "name": "nightly",
    "state": "paused",
    "task_type": "add",
    "queue": "other",
    "priority": 9,
    "payload": {"a": 3},
    "max_attempts": 2,
    "timeout": 60.0,
    "tags": ["a", "b"],
    "user_id": "u1",
    "project_id": "p1",
    "timing": {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"},
    "starts_at": "2029-12-31T23:00:00Z",
    "ends_at": "2031-01-01T00:00:00Z",
    "expires": 3600.0,
    "misfire": "all",
    "misfire_limit": 7,
    "grace": 90.0,
    "overlap": "queue",
    "paused": True,
    "declared": False,
    "changed": [],
    "version": 1,
    "next_run_at": None,
    "last_run_at": None,
    "run_count": 0,
}


def test_schedules_are_listed_by_name_with_what_comes_next(shop: Shop) -> None:
    assert _call(shop, *TICK, "--jitter", "30s").code == 0
    words = ["add", "--at", "2030-01-01T09:00", "--timezone", "Asia/Shanghai", "-p", '{"a": 1}']
    assert _call(shop, "add", "once", *words).code == 0
    daily = ["add", "--cron", "0 9 * * *", "--timezone", "Asia/Shanghai", "-p", '{"a": 1}']
    assert _call(shop, "add", "daily", *daily).code == 0
    heading, first, second, third = shop.call("schedule", "ls").out.splitlines()
    assert heading.split() == "NAME TYPE WHEN ZONE QUEUE NEXT LAST FIRED STATE DECLARED".split()
    assert first.startswith("daily  add   0 9 * * *")
    assert "Asia/Shanghai  sums" in first
    assert "T01:00:00Z" in first
    assert second.startswith("once   add   once at 2030-01-01T01:00:00Z")
    assert third.startswith("tick   add   every 5 min, up to 30 s later")
    assert third.endswith("active  at run time")
    assert "每 5 min，最多推迟 30 s" in shop.call("schedule", "ls", "--lang", "zh").out
    names = [each["name"] for each in shop.call("schedule", "ls", "-o", "json").json["schedules"]]
    assert names == ["daily", "once", "tick"]


def test_editing_changes_what_is_said_and_nothing_else(shop: Shop) -> None:
    before = _json(shop, *TICK, "--ends", "2030-01-01", "--timeout", "5")
    after = _json(shop, "edit", "tick", "--grace", "2m", "--ends", "none", "--timeout", "none")
    assert (after["grace"], after["ends_at"], after["timeout"]) == (120.0, None, None)
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed == {"grace", "ends_at", "timeout", "updated_at", "version"}
    again = _json(shop, "edit", "tick", "--cron", "0 * * * *", "-p", '{"a": 5}')
    assert again["timing"] == {"type": "cron", "expression": "0 * * * *", "timezone": "UTC"}
    assert again["payload"] == {"a": 5}


def test_only_what_depends_on_the_task_type_needs_the_application(shop: Shop) -> None:
    assert _call(shop, *TICK).code == 0
    assert shop.call("schedule", "edit", "tick", "--every", "1h").code == 0
    said = shop.call("schedule", "edit", "tick", "-p", '{"a": 2}')
    assert (said.code, said.err.startswith("error: which application?")) == (2, True)


def test_a_paused_schedule_comes_back_with_its_next_instant(shop: Shop) -> None:
    assert _call(shop, *TICK).code == 0
    said = shop.call("schedule", "pause", "tick", "nope", "-o", "json")
    assert said.code == 3
    assert said.json["schedules"] == [
        {"name": "tick", "state": "paused", "problem": None},
        {"name": "nope", "state": None, "problem": "there is no schedule called 'nope'"},
    ]
    nothing = shop.call("schedule", "next", "tick")
    assert (nothing.code, nothing.err) == (0, "nothing comes: it is paused, or over\n")
    assert shop.call("schedule", "resume", "tick", "-o", "jsonl").json["state"] == "active"
    assert len(shop.call("schedule", "next", "tick", "-o", "json").json["instants"]) == 10


def test_running_by_hand_enqueues_at_once_and_is_recorded(shop: Shop) -> None:
    before = _json(shop, *TICK)
    task_id = shop.call("schedule", "run", "tick").out.strip()
    task = shop.call("task", "show", task_id, "-o", "json").json
    assert (task["state"], task["payload"]) == ("pending", {"a": 1})
    assert task["headers"]["schedule"] == "tick"
    (fire,) = shop.call("schedule", "history", "tick", "-o", "json").json["fires"]
    assert (fire["outcome"], fire["task_id"], fire["by_hand"]) == ("fired", task_id, True)
    after = shop.call("schedule", "show", "tick", "-o", "json").json
    assert (after["run_count"], after["next_run_at"]) == (1, before["next_run_at"])
    heading, line = shop.call("schedule", "history", "tick").out.splitlines()
    assert heading.split()[:3] == ["INSTANT", "OUTCOME", "LATER"]
    assert task_id in line


def test_running_what_must_not_overlap_answers_the_task_that_still_runs(shop: Shop) -> None:
    assert _call(shop, *TICK, "--overlap", "skip").code == 0
    first = shop.call("schedule", "run", "tick")
    second = shop.call("schedule", "run", "tick")
    assert first.out == second.out
    assert second.err == "an earlier task holds the unique key; this is its id\n"


def test_the_page_of_a_schedule_shows_its_last_error_and_its_fires(shop: Shop) -> None:
    assert _call(shop, "add", "bad", "boom", "--every", "5m", "-p", '{"text": "x"}').code == 0
    task_id = shop.call("schedule", "run", "bad").out.strip()
    shop.settle(task_id, "boom", Failed(BROKE))
    page = shop.call("schedule", "show", "bad").out
    assert "last error          builtins.ValueError: it broke\n" in page
    lag, *rest = page.splitlines()[-1].split()[2:5]
    assert 0 <= float(lag) < 30
    assert rest == ["s", task_id]
    assert shop.call("schedule", "show", "bad", "-o", "json").json["last_error"]["message"] == (
        "it broke"
    )


def test_removing_asks_and_says_what_would_come_back(shop: Shop) -> None:
    assert _call(shop, *TICK).code == 0

    async def declare(engine: Engine) -> None:
        (document,) = await engine.get(SCHEDULE, ["tick"])
        assert document is not None
        declared = msgspec.structs.replace(decode(document.body), declared=True)
        await engine.put([Put(SCHEDULE, "tick", encode(declared))])

    shop.on_engine(declare)
    said = shop.program("schedule", "rm", "tick", "--engine", shop.url)
    assert said.code == 2
    assert said.err.splitlines() == [
        "tick: will be removed with the history; tasks that were fired stay.",
        "tick: declared in code, and back when a scheduler of that code starts; pause it instead.",
        "error: nobody is there to ask: repeat the command with --yes",
    ]
    assert shop.call("schedule", "rm", "tick", "--yes").out.split()[-2:] == ["tick", "removed"]
    assert shop.call("schedule", "ls", "-o", "json").json == {"schedules": []}
    assert shop.call("schedule", "show", "tick").code == 3


def test_an_expression_is_tried_without_an_engine(shop: Shop) -> None:
    words = ["schedule", "next", "--cron", "0 9 * * *", "--timezone", "Asia/Shanghai", "-n", "3"]
    said = shop.program(*words, "-o", "json")
    assert said.code == 0
    assert said.json["timezone"] == "Asia/Shanghai"
    instants = said.json["instants"]
    assert [each["local"][10:] for each in instants] == ["T09:00:00+08:00"] * 3
    assert [each["at"][10:] for each in instants] == ["T01:00:00Z"] * 3
    assert 0 < instants[0]["in"] <= 86_400
    assert instants[1]["in"] - instants[0]["in"] == pytest.approx(86_400)
    assert not (shop.folder / "shop.db").exists()


def test_the_next_instants_of_a_schedule_are_told_in_its_zone(shop: Shop) -> None:
    words = ["add", "--cron", "0 9 * * *", "--timezone", "Asia/Shanghai", "-p", '{"a": 1}']
    assert _call(shop, "add", "daily", *words).code == 0
    lines = shop.call("schedule", "next", "daily", "-n", "2").out.splitlines()
    assert lines[0].split() == ["IN", "ITS", "ZONE", "UTC", "IN"]
    assert len(lines) == 3
    assert "T09:00:00+08:00  " in lines[1]


def test_schedules_are_counted_by_state(shop: Shop) -> None:
    assert _call(shop, *TICK).code == 0
    assert _call(shop, *TICK[:1], "tock", *TICK[2:], "--paused").code == 0
    record = shop.call("schedule", "status", "-o", "json").json
    assert record.pop("next_fire_at") > datetime.now(UTC).isoformat()[:19]
    assert record == {"active": 1, "paused": 1, "finished": 0, "late": 0, "last_fire_at": None}
    lines = shop.call("schedule", "status").out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["active", "1"], ["paused", "1"]]


def test_a_scheduler_puts_in_what_the_code_declares_and_fires_it(shop: Shop) -> None:
    (shop.folder / "declaring.py").write_text(DECLARING, "utf-8")
    scheduler = shop.start("scheduler", "-A", "declaring:app", until="the scheduler is ready")
    page = shop.until(["schedule", "show", "daily"], lambda said: said.code == 0).out
    assert "declared            in code\n" in page
    edited = shop.call("schedule", "edit", "daily", "--grace", "5m").out
    assert edited.endswith("declared   in code, changed: grace\n")
    (record,) = shop.call("schedule", "ls", "-o", "json").json["schedules"]
    assert (record["declared"], record["changed"]) == (True, ["grace"])
    assert "in code, changed: grace" in shop.call("schedule", "ls").out
    said = shop.stop(scheduler)
    assert said.code == 0
    assert said.err.splitlines()[-1].endswith("the scheduler has stopped")


@pytest.mark.parametrize("program", ["scheduler", "up"])
def test_a_schedule_fires_in_time_and_its_task_runs_where_tasks_run(
    shop: Shop, program: str
) -> None:
    running = shop.start(program, "-A", APP, until="is ready")
    assert _call(shop, "add", "tick", "add", "--every", "1s", "-p", '{"a": 1}').code == 0
    words = ["task", "ls", "--type", "add", "-o", "json"]
    state = "completed" if program == "up" else "pending"
    said = shop.until(
        words, lambda said: any(task["state"] == state for task in said.json["tasks"])
    )
    assert {task["headers"]["schedule"] for task in said.json["tasks"]} == {"tick"}
    assert shop.stop(running).code == 0
    fires = shop.call("schedule", "history", "tick", "-o", "json").json["fires"]
    assert {each["outcome"] for each in fires} == {"fired"}


def test_a_scheduler_tells_what_was_missed_and_what_it_cannot_fire(shop: Shop) -> None:
    assert _call(shop, *TICK, "--misfire", "skip").code == 0

    async def age(engine: Engine) -> None:
        """As if nobody had looked for an hour; and a definition that nobody can read."""
        (document,) = await engine.get(SCHEDULE, ["tick"])
        assert document is not None
        made = decode(document.body)
        older = msgspec.structs.replace(made, since=made.since - timedelta(hours=1, seconds=150))
        await engine.put([Put(SCHEDULE, "tick", encode(older)), Put(SCHEDULE, "odd", b"{}")])

    shop.on_engine(age)
    scheduler = shop.start("scheduler", "-A", APP)
    told = shop.hear(scheduler, "instants of the schedule tick")
    assert "  12 instants of the schedule tick up to 2" in told
    if "the schedule odd" not in told:
        told += shop.hear(scheduler, "the schedule odd")
    assert "the schedule odd cannot be fired: InvalidSchedule: the stored definition" in told
    assert shop.stop(scheduler).code == 0
    (fire,) = shop.call("schedule", "history", "tick", "-o", "json").json["fires"]
    assert (fire["outcome"], fire["missed"], fire["task_id"]) == ("missed", 12, None)


def test_a_scheduler_tells_its_start_and_end_as_lines_of_json(shop: Shop) -> None:
    scheduler = shop.start("scheduler", "-A", APP, "-o", "jsonl", until="SchedulerStarted")
    said = shop.stop(scheduler)
    assert msgspec.json.decode(said.err)["event"] == "SchedulerStopped"


def test_an_engine_that_refuses_ends_the_scheduler(shop: Shop) -> None:
    said = shop.program("scheduler", "-A", APP, "--engine", "sqlite:////no/such/folder/x.db")
    assert (said.code, said.out) == (4, "")
    assert said.err.startswith("error: /no/such/folder/x.db cannot be opened")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("add x add --cron 0_25_*_*_*", 2, "hour 25 at column 2 is not in 0..23"),
        ("add x add --cron 0_9_*_*_* --timezone Mars/Base", 2, "Mars/Base"),
        ("add x add", 2, "say when it fires by one of cron, every and at"),
        ("add x add --every 5m --at 2030-01-01", 2, "by one of cron, every and at"),
        ("add x add --every soon", 2, "'soon' is not a duration"),
        ("add x add --at noon", 2, "'noon' is not an instant"),
        ("add x add --at 2001-01-01", 2, "it would never fire"),
        ("add x/y add --every 5m", 2, "x/y"),
        ("add x nope --every 5m", 3, "no task type is called 'nope'"),
        ("add tick add --every 5m", 1, "there is a schedule called 'tick' already"),
        ("add x index --every 5m --overlap skip", 2, "overlap skip"),
        ("add x add --every 5m --jitter 5m", 2, "jitter is at least 0 and less than the period"),
        ("edit tick", 2, "say what to change: see tidemill schedule edit --help"),
        ("edit nope --grace 1m", 3, "there is no schedule called 'nope'"),
        ("show nope", 3, "there is no schedule called 'nope'"),
        ("run nope", 3, "there is no schedule called 'nope'"),
        ("history nope", 3, "there is no schedule called 'nope'"),
        ("pause nope", 3, "there is no schedule called 'nope'"),
        ("rm nope --yes", 3, "there is no schedule called 'nope'"),
        ("next nope", 3, "there is no schedule called 'nope'"),
        ("next", 2, "name a schedule, or try an expression with --cron and --timezone"),
        ("next tick --cron 0_9_*_*_*", 2, "name a schedule, or try an expression"),
        ("next tick --timezone UTC", 2, "name a schedule, or try an expression"),
        ("next --cron 0_0_30_2_*", 2, "it never fires, because no year has such a day"),
    ],
)
def test_a_mistake_is_told_in_one_line(shop: Shop, words: str, code: int, told: str) -> None:
    assert _call(shop, *TICK).code == 0
    payload = {"add": ["-p", '{"a": 1}' if "index" not in words else '{"page": "x"}']}
    given = [word.replace("_", " ") for word in words.split()]
    said = _call(shop, *given, *payload.get(given[0], []))
    assert said.err.startswith("error: ")
    assert told in said.err
    assert said.err.count("\n") == 1
    assert (said.code, said.out) == (code, "")


def test_a_payload_that_does_not_fit_is_refused_before_anything_is_stored(shop: Shop) -> None:
    said = _call(shop, "add", "x", "add", "--every", "5m", "-p", '{"a": "x"}')
    assert (said.code, "at a: expected int, got str" in said.err) == (2, True)
    assert shop.call("schedule", "ls", "-o", "json").json == {"schedules": []}


def test_the_policies_are_those_of_the_library() -> None:
    for name, policy in (("misfire", Misfire), ("overlap", Overlap)):
        (choices, _) = get_args(get_args(FIELDS[name])[0])
        assert get_args(choices) == tuple(policy)
