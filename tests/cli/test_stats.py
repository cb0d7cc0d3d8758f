from datetime import timedelta

import pytest

from tests.cli.conftest import Shop
from tests.cli.test_output import on_a_terminal
from tidemill.outcome import Cancelled, Completed, Failed
from tidemill.testing.builders import BROKE


def _ended(shop: Shop) -> None:
    """Four completed and one failed in two queues, of two types."""
    shop.end(*(shop.new(queue="mail", task_type="send") for _ in range(3)), outcome=Completed())
    shop.end(shop.new(queue="mail", task_type="read"), outcome=Completed())
    shop.end(shop.new(queue="slow", task_type="read"), outcome=Failed(BROKE))


def test_what_ended_is_counted_with_its_times(shop: Shop) -> None:
    _ended(shop)
    record = shop.call("stats", "-o", "json").json
    names = ("total", "completed", "failed", "cancelled", "retried", "reclaimed", "success_rate")
    assert [record[name] for name in names] == [5, 4, 1, 0, 0, 0, 80.0]
    assert record["avg_duration_ms"] >= 0
    assert record["p99_wait_ms"] >= record["p50_wait_ms"] >= 0
    assert record["since"] < record["until"]
    assert "points" not in record
    page = shop.call("stats").out
    assert "ended                        5\n" in page
    assert "success                      80.00 %\n" in page
    assert "duration                     average " in page


def test_nothing_that_ended_leaves_out_what_nothing_can_be_said_of(shop: Shop) -> None:
    said = shop.call("stats")
    assert said.code == 0
    assert "ended                        0\n" in said.out
    assert "success" not in said.out
    assert "duration" not in said.out
    assert shop.call("stats", "-o", "json").json["p95_duration_ms"] is None


def test_a_range_is_said_by_durations_and_instants(shop: Shop) -> None:
    _ended(shop)

    def total(*words: str) -> int:
        found = shop.call("stats", *words, "-o", "json").json["total"]
        assert isinstance(found, int)
        return found

    assert total("--since", "1h") == 5
    assert total("--since", "2h", "--until", "1h") == 0
    assert total("--since", "2026-01-01T00:00Z") == 5
    assert total("--since", "2020-01-01", "--until", "2020-02-01T00:00+08:00") == 0


def test_what_is_counted_is_narrowed_by_queue_and_type(shop: Shop) -> None:
    _ended(shop)
    assert shop.call("stats", "--queue", "mail", "-o", "json").json["total"] == 4
    assert shop.call("stats", "--type", "read", "-o", "json").json["total"] == 2
    both = shop.call("stats", "--type", "read", "--queue", "slow", "-o", "json").json
    assert (both["total"], both["success_rate"]) == (1, 0.0)


def test_groups_have_a_line_each(shop: Shop) -> None:
    _ended(shop)
    record = shop.call("stats", "--by", "queue", "-o", "json").json
    assert [(each["queue"], each["total"]) for each in record["groups"]] == [
        ("mail", 4),
        ("slow", 1),
    ]
    assert record["total"] == 5
    heading, first, second = shop.call("stats", "--by", "type").out.splitlines()
    assert heading.split()[:6] == "TYPE ENDED COMPLETED FAILED CANCELLED SUCCESS".split()
    assert first.split()[:5] == ["read", "2", "1", "1", "0"]
    assert second.split()[:5] == ["send", "3", "3", "0", "0"]
    narrowed = shop.call("stats", "--by", "queue", "--queue", "slow", "-o", "json").json
    assert [each["queue"] for each in narrowed["groups"]] == ["slow"]


def test_a_chart_shows_the_newest_at_its_right_end(shop: Shop) -> None:
    _ended(shop)
    lines = shop.call("stats", "--since", "1h", "--chart").out.splitlines()
    completed, failed, cancelled, longest, axis = lines[-5:]
    assert completed.startswith("completed     ·")
    assert completed.endswith("█  4 at most in 2 min")
    assert failed.endswith("█  1 at most in 2 min")
    assert cancelled.endswith("··  0 at most in 2 min")
    assert longest.startswith("duration p95  ·")
    assert axis.split()[1] == "–"
    record = shop.call("stats", "--since", "1h", "--chart", "-o", "json").json
    assert 60 <= len(record["points"]) <= 61
    assert sum(point["statistics"]["total"] for point in record["points"]) == 5


def test_a_chart_of_groups_has_a_line_for_each(shop: Shop) -> None:
    _ended(shop)
    lines = shop.call("stats", "--since", "1h", "--by", "type", "--chart").out.splitlines()
    assert [line.split()[0] for line in lines[-3:-1]] == ["read", "send"]
    assert lines[-2].endswith("█  3 at most in 2 min")


def test_a_chart_fits_a_narrow_terminal(shop: Shop) -> None:
    _ended(shop)
    written = on_a_terminal("stats", "--chart", "--engine", shop.url, COLUMNS="60")
    chart = [line.rstrip() for line in written.splitlines() if "·" in line]
    assert len(chart) == 4
    assert max(map(len, chart)) <= 60


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--since soon", "'soon' is neither a duration such as 7d nor an instant"),
        ("--since 1h --until 2h", "a range ends after it begins"),
        ("--by day", "'day' is not one of 'queue', 'type'"),
        ("--since 9999d --chart", "ask for a shorter range"),
    ],
)
def test_a_range_that_cannot_be_is_refused(shop: Shop, words: str, told: str) -> None:
    said = shop.call("stats", *words.split())
    assert (said.code, told in said.err, said.out) == (2, True, "")


def test_queues_tell_how_fast_they_go_and_when_they_are_empty(shop: Shop) -> None:
    _ended(shop)
    shop.end(shop.new(queue="mail"), outcome=Cancelled("no need"))
    shop.enqueue(
        shop.new(queue="mail"),
        shop.new(queue="mail", delay=timedelta(hours=1)),
        shop.new(queue="new"),
    )
    mail, new, slow = shop.call("queue", "stats", "-o", "json").json["queues"]
    assert mail["waiting"] == {"scheduled": 1, "blocked": 0, "pending": 1}
    assert (mail["running"], mail["completed"], mail["cancelled"]) == (0, 4, 1)
    assert mail["throughput"] >= 5 / 300
    assert mail["empty_in"] == pytest.approx(1 / mail["throughput"])
    assert mail["oldest_age"] >= 0
    assert (new["name"], new["throughput"], new["empty_in"]) == ("new", 0.0, None)
    assert (slow["failed"], slow["oldest_age"], slow["empty_in"]) == (1, None, 0.0)
    heading, *lines = shop.call("queue", "stats").out.splitlines()
    assert heading.split()[:5] == "QUEUE SCHEDULED BLOCKED PENDING RUNNING".split()
    assert lines[0].split()[:5] == ["mail", "1", "0", "1", "0"]
    named = shop.call("queue", "stats", "slow", "mail", "-o", "json").json["queues"]
    assert [each["name"] for each in named] == ["slow", "mail"]
    said = shop.call("queue", "stats", "nope")
    assert (said.code, said.err) == (3, "error: there is no queue called 'nope'\n")


def test_status_tells_how_many_tasks_end_per_second(shop: Shop) -> None:
    assert shop.call("status", "-o", "json").json["throughput"] == 0
    _ended(shop)
    assert shop.call("status", "-o", "json").json["throughput"] >= 5 / 300
    assert "tasks ended per second in the last five minutes\n" in shop.call("status").out
