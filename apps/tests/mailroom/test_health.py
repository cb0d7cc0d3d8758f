"""`health:alerts`: each crossing is one notice and each recovery too, however often it looks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from apps.tests.mailroom.maintenance import at_work, configured, home, rows, someone
from apps.tests.services.mailer.postbox import Postbox, serving
from tidemill import AlertInfo, AlertLevel, AlertRule, AlertSettings, State
from tidemill.alerts import AlertWatch, Delivery
from tidemill.testing import Harness
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.app import app
from tidemill_apps.mailroom.noticing import Notice, news, title
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.tasks.backfill import context_backfill
from tidemill_apps.mailroom.tasks.health import health_alerts, health_tell

__all__ = ["home"]

RULES = ("cpu", "memory", "no_worker", "queue_unserved", "worker_lost", "schedule_late")
"""Of this machine, and of the worker that a harness has none of: no matter of these tests."""
SETTINGS = AlertSettings(rules={name: AlertRule(enabled=False) for name in RULES})
SINCE = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with serving(Postbox()) as serves:
        yield serves


async def fail_ten_percent(harness: Harness, room: Mailroom) -> None:
    """Let 11 of 100 tasks of the maintenance fail: contexts that nobody has."""
    users = [await someone(room, f"user {number}") for number in range(3)]
    for number in range(11):
        await context_backfill.enqueue(users[0], f"unknown {number}")
    for number in range(89):
        await context_backfill.enqueue(users[number % 3])
        await harness.drain()
    failed = await harness.tasks(state=State.FAILED)
    assert len(failed) == 11


async def watched(harness: Harness, minutes: int) -> None:
    """Let Tidemill watch and the schedule run, for so long."""
    watch = AlertWatch(app, SETTINGS, Delivery(app, SETTINGS))
    for _ in range(6 * minutes):
        await harness.run_for(seconds=10)
        await watch.look(await app.engine())


async def told(harness: Harness, room: Mailroom) -> None:
    """Let what is to be told be told, also after some attempts."""
    await room.outbox.relay()
    await harness.run_for(minutes=10)


async def noticed(room: Mailroom) -> list[tuple[str, str, str]]:
    notices = tables.notices.c
    wanted = select(notices.rule, notices.subject, notices.level).order_by(notices.at)
    return [tuple(row) for row in await rows(room, wanted)]


async def test_ten_percent_of_failures_are_one_alarm_and_one_recovery(home: Path) -> None:
    async with at_work(home) as (harness, room):
        await fail_ten_percent(harness, room)
        await watched(harness, 3)
        alarm = ("failure_percentage", "mail.maint", "alarm")
        assert await noticed(room) == [alarm]
        for _ in range(3):
            handle = await health_alerts.enqueue()
            await harness.drain()
            assert await handle.result() == ()
        await watched(harness, 7)
        assert await noticed(room) == [alarm, ("failure_percentage", "mail.maint", "fine")]
        looks = await harness.tasks(task_type="health:alerts")
        assert len(looks) == 3 + 10
        assert {task.state for task in looks} == {State.COMPLETED}


async def test_the_operator_gets_one_mail_of_the_alarm_and_one_of_its_end(
    home: Path, postbox: Postbox
) -> None:
    server = f"{{host: 127.0.0.1, port: {postbox.port}, sender: m@mill.example, encryption: none}}"
    configured(home, f"{{notify: {{to: [ops@mill.example], lang: zh, server: {server}}}}}")
    async with at_work(home) as (harness, room):
        await fail_ten_percent(harness, room)
        postbox.recipients["ops@mill.example"] = "451 not now"
        await watched(harness, 2)
        await room.outbox.relay()
        await harness.drain()
        assert postbox.asked
        assert postbox.mails == []
        postbox.recipients.clear()
        await told(harness, room)
        await watched(harness, 6)
        await told(harness, room)
        assert [str(mail["Subject"]) for mail in postbox.mails] == [
            "警报：mail.maint 的 failure_percentage",
            "已恢复：mail.maint 的 failure_percentage",
        ]
        [notice, _] = await rows(room, select(tables.notices).order_by(tables.notices.c.at))
        again = await health_tell.enqueue(notice.key)
        await harness.drain()
        assert (await again.result()).earlier == ("ops@mill.example",)
        assert len(postbox.mails) == 2


async def test_without_somebody_to_tell_nothing_is_sent(home: Path) -> None:
    async with at_work(home) as (harness, room):
        await fail_ten_percent(harness, room)
        await watched(harness, 2)
        await told(harness, room)
        assert len(await noticed(room)) == 1
        assert await harness.tasks(task_type="health:tell") == []


def alert(level: AlertLevel, told: AlertLevel, since: datetime = SINCE) -> AlertInfo:
    return AlertInfo(
        rule="queue_pending",
        subject="mail",
        level=level,
        value=7,
        since=since,
        told=told,
        silenced=False,
    )


def notice(level: str) -> Notice:
    return Notice(f"queue_pending/mail/{level}/x", "queue_pending", "mail", level, "", SINCE)


FINE, WARNING, ALARM = AlertLevel.FINE, AlertLevel.WARNING, AlertLevel.ALARM


@pytest.mark.parametrize(
    ("last", "alerts", "told"),
    [
        (None, [], []),
        (None, [alert(ALARM, FINE)], []),  # it has not held for long enough, or is silenced
        (None, [alert(WARNING, WARNING)], ["warning"]),
        ("warning", [alert(WARNING, WARNING)], []),
        ("warning", [alert(ALARM, ALARM)], ["alarm"]),
        ("alarm", [alert(WARNING, ALARM, SINCE + timedelta(minutes=1))], []),
        ("alarm", [alert(FINE, ALARM)], []),  # its end has not held for long enough
        ("alarm", [], ["fine"]),
        ("alarm", [alert(WARNING, FINE)], ["fine"]),
        ("fine", [], []),
        ("fine", [alert(ALARM, ALARM)], ["alarm"]),
    ],
)
def test_news_is_what_was_told_and_is_not_kept(
    last: str | None, alerts: list[AlertInfo], told: list[str]
) -> None:
    before = {("queue_pending", "mail"): notice(last)} if last else {}
    assert [each.level for each in news(before, alerts, SINCE)] == told


def test_two_looks_at_one_crossing_make_one_key_and_another_crossing_another() -> None:
    keys = [
        each.key
        for since in (SINCE, SINCE, SINCE + timedelta(hours=1))
        for each in news({}, [alert(ALARM, ALARM, since)], datetime.now(UTC))
    ]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("level", ["warning", "alarm", "fine"])
def test_a_title_names_the_rule_and_the_subject_in_both_languages(level: str) -> None:
    for lang in ("en", "zh"):
        told = title(notice(level), lang)
        assert "queue_pending" in told
        assert "mail" in told
