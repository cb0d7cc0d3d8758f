"""Notices of failed tasks: each is counted once, a flood is a handful, and e-mail is real."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage

import pytest

from tests.alerts.conftest import QUIET, MakeScene
from tests.alerts.inbox import Inbox, receiving
from tests.worker.facts import Facts, at_work
from tidemill import Permanent, TaskFailedError, TaskRetried, Tidemill, VirtualClock
from tidemill.alert import AlertEmail, AlertRule, AlertSettings
from tidemill.alerts import AlertWatch, Delivery
from tidemill.alerts.notices import FailuresNotice
from tidemill.engines.memory import MemoryEngine
from tidemill.worker import Worker

NOBODY = AlertEmail(host="127.0.0.1", port=1, sender="a@example.org", to=("b@example.org",))


async def test_a_flood_of_ten_thousand_failures_is_a_handful_of_notices(scene: MakeScene) -> None:
    here = scene(
        email=NOBODY,
        rules={
            "failed_tasks": AlertRule(enabled=False),
            "failure_percentage": AlertRule(enabled=False),
        },
    )
    notices = []
    for _ in range(100):
        await here.app.function("work").enqueue_many({} for _ in range(100))
        await here.end(100, failing=True)
        notices += await here.look(after=5)
    for _ in range(200):
        notices += await here.look(after=30)
    told = [each["notice"] for each in notices]
    assert 1 <= len(told) <= 5
    assert sum(each.count for each in told) == 10_000
    assert {each.task_type for each in told} == {"work"}
    assert told[0].errors == ("builtins.ValueError",)
    assert len(told[0].last) == 5
    assert "canary" not in str(told)


async def test_nodes_that_count_failures_at_the_same_time_miss_none(
    scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene(email=NOBODY)
    told = []
    tell = Delivery.tell_failures

    async def slowly(delivery: Delivery, news: Iterable[tuple[FailuresNotice, int]]) -> None:
        await tell(delivery, news)
        monkeypatch.setattr(Delivery, "tell_failures", tell)
        await here.app.function("work").enqueue_many({} for _ in range(2))
        await here.end(2, failing=True)
        told.extend(await here.look(after=0.01))

    await here.app.function("work").enqueue()
    await here.end(1, failing=True)
    monkeypatch.setattr(Delivery, "tell_failures", slowly)
    await here.another().look(await here.app.engine())
    told += await here.look(after=61)
    counts = [each["notice"].count for each in told]
    assert sum(counts) == 3


async def test_one_failure_is_told_with_its_task(scene: MakeScene) -> None:
    here = scene(email=NOBODY)
    handle = await here.app.function("work").enqueue()
    await here.end(1, failing=True)
    [told] = await here.look(after=1)
    assert (told["notice"].count, told["notice"].last) == (1, (handle.id,))
    assert await here.look(after=3600) == []


async def test_nobody_is_told_of_failed_tasks_without_a_channel(scene: MakeScene) -> None:
    here = scene()
    await here.app.function("work").enqueue()
    await here.end(1, failing=True)
    assert await here.look(after=1) == []


@dataclass
class Mailing:
    """An application whose alerts go by mail, and where they arrive."""

    app: Tidemill
    clock: VirtualClock
    watch: AlertWatch
    inbox: Inbox

    async def fail(self) -> str:
        """Let one task fail, and look at it; its id."""
        handle = await self.app.function("work").enqueue()
        with pytest.raises(TaskFailedError, match="canary"):
            await handle.result()
        await self.watch.look(await self.app.engine())
        return handle.id

    async def arrived(self, count: int) -> dict[str, EmailMessage]:
        """The mails by subject, once there are so many; folding a header may double a space."""
        async with asyncio.timeout(20):
            while len(self.inbox.mails) < count:
                self.inbox.arrived.clear()
                await self.inbox.arrived.wait()
        return {" ".join(str(mail["subject"]).split()): mail for mail in self.inbox.mails}


@asynccontextmanager
async def mailing(*, refusals: int = 0) -> AsyncIterator[Mailing]:
    inbox = Inbox(refusals)
    with receiving(inbox) as port:
        email = AlertEmail(
            host="127.0.0.1",
            port=port,
            sender="tidemill@example.org",
            to=("ops@example.org", "dev@example.org"),
            encryption="none",
        )
        clock = VirtualClock()
        app = Tidemill("memory://")
        app.use_engine(MemoryEngine(clock=clock), clock=clock)
        rules = {**QUIET, "failed_tasks": AlertRule(alarm=0)}
        settings = AlertSettings(email=email, rules=rules)
        delivery = Delivery(app, settings)
        watch = AlertWatch(app, settings, delivery)

        @app.task(name="work")
        async def work() -> None:
            raise Permanent("a canary 7f3a")

        async with at_work(Worker(app, own=delivery.task_types)):
            yield Mailing(app, clock, watch, inbox)
        await app.close()


async def test_an_alarm_arrives_by_mail_in_both_languages() -> None:
    async with mailing() as here:
        failed = await here.fail()
        mails = await here.arrived(2)
    subject = (
        "alarm: 1 failed tasks are in the queue default (告警：队列 default 有 1 个失败的任务)"
    )
    alarm = mails[f"[Tidemill] {subject}"]
    assert alarm["to"] == "ops@example.org, dev@example.org"
    assert "threshold / 阈值: 0" in alarm.get_content()
    failures = mails["[Tidemill] 1 work task failed (1 个 work 任务失败)"]
    assert failed in failures.get_content()
    assert "canary" not in "".join(mail.as_string() for mail in mails.values())


async def test_a_refused_mail_is_tried_again_as_a_task() -> None:
    async with mailing(refusals=1) as here:
        facts = Facts(here.app)
        await here.fail()
        await facts.first(TaskRetried)
        here.clock.advance(timedelta(minutes=1))
        await (await here.app.engine()).promote(100)
        assert len(await here.arrived(2)) == 2
    assert here.inbox.refusals == 0
