"""From a task's end to a receiver that checks signatures with the public library."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import standardwebhooks

from tests.outbound.receiver import Received, Reply, receiving
from tests.webhooks.conftest import LOOPBACK, START, News, pass_time, running
from tidemill import (
    ConfigError,
    OutboundRefused,
    State,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    Tidemill,
    VirtualClock,
    WebhookDisabled,
    WebhookNotFound,
    WebhookSettings,
)
from tidemill.app.webhook import TASK_TYPE, WAITS
from tidemill.engines.memory import MemoryEngine


def ended(
    kind: type[TaskCompleted | TaskFailed | TaskCancelled], count: int = 1
) -> Callable[..., bool]:
    """Whether so many deliveries have ended so."""
    return lambda seen: (
        len([each for each in seen if isinstance(each, kind) and each.task_type == TASK_TYPE])
        >= count
    )


def said(received: Received) -> dict[str, object]:
    told: dict[str, object] = json.loads(received.body)
    return told


async def test_a_receiver_with_the_public_library_verifies_what_it_is_told(app: Tidemill) -> None:
    async with receiving() as receiver:
        made = await app.webhooks.create(receiver.url())
        async with running(app):
            handle = await app.function("work").enqueue(number=1)
            [got] = await receiver.until_count(1)
    assert standardwebhooks.Webhook(made.secret).verify(got.body, got.headers) == {
        "type": "task.completed",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {
            "task_id": handle.id,
            "task_type": "work",
            "queue": "work",
            "state": "completed",
            "cause": "completed",
            "attempt": 1,
        },
    }
    assert got.headers["content-type"] == "application/json"
    assert b"secret" not in got.body


async def test_a_delivery_is_repeated_until_it_is_accepted_and_then_no_more(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, news: News
) -> None:
    async with receiving(Reply(500), Reply(500), Reply(200)) as receiver:
        made = await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            for count in (1, 2):
                retries = await news.retried(count)
                assert WAITS[count - 1] <= retries[-1].delay <= WAITS[count - 1] * 1.1
                await pass_time(engine, clock, retries[-1].delay)
            await news.until(ended(TaskCompleted))
            assert (await app.webhooks.get(made.webhook.id)).webhook.failing_since is None
            await pass_time(engine, clock, timedelta(days=2))
    first, second, third = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-id"] == third.headers["webhook-id"]
    assert first.body == second.body == third.body


async def test_what_cannot_be_delivered_is_tried_ten_times_over_three_days(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, news: News
) -> None:
    async with receiving(Reply(500)) as receiver:
        await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            for count in range(1, len(WAITS) + 1):
                await pass_time(engine, clock, (await news.retried(count))[-1].delay)
            await news.until(ended(TaskFailed))
    assert len(receiver.got) == 10
    assert timedelta(days=3) < sum(WAITS, timedelta()) < timedelta(days=3.5)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_says_when_to_try_again(status: int, app: Tidemill, news: News) -> None:
    wait = Reply(status, (("Retry-After", "120"),))
    async with receiving(wait) as receiver:
        await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            [retry] = await news.retried(1)
    assert retry.delay == timedelta(seconds=120)


async def test_a_receiver_cannot_put_off_a_delivery_for_more_than_a_day(
    app: Tidemill, news: News
) -> None:
    async with receiving(Reply(429, (("Retry-After", "9" * 30),))) as receiver:
        await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            [retry] = await news.retried(1)
    assert retry.delay == timedelta(days=1)


async def test_a_receiver_that_is_gone_is_told_nothing_more(app: Tidemill, news: News) -> None:
    async with receiving(Reply(410)) as receiver:
        made = await app.webhooks.create(receiver.url(), name="shop")
        async with running(app):
            await app.function("work").enqueue()
            await news.until(ended(TaskFailed))
            now = (await app.webhooks.get(made.webhook.id)).webhook
            assert not now.active
            assert "410" in now.disabled
            [told] = [each for each in news.seen if isinstance(each, WebhookDisabled)]
            assert (told.webhook, told.name) == (made.webhook.id, "shop")
            await app.function("work").enqueue()
            await (await app.function("work").enqueue()).result()
    assert len(receiver.got) == 1


async def test_a_webhook_that_failed_for_five_days_is_disabled(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, news: News
) -> None:
    async with receiving(Reply(500)) as receiver:
        made = await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            await news.retried(1)
            assert (await app.webhooks.get(made.webhook.id)).webhook.failing_since == START
            await pass_time(engine, clock, timedelta(days=4, hours=23))
            await news.retried(2)
            assert (await app.webhooks.get(made.webhook.id)).webhook.active
            await pass_time(engine, clock, timedelta(hours=2))
            await news.retried(3)
            assert any(isinstance(each, WebhookDisabled) for each in news.seen)
            now = (await app.webhooks.get(made.webhook.id)).webhook
            assert (now.active, now.failing_since) == (False, START)
            await pass_time(engine, clock, timedelta(days=1))
            await news.until(ended(TaskCancelled))
            again = (await app.webhooks.update(made.webhook.id, active=True)).webhook
            assert (again.active, again.failing_since, again.disabled) == (True, None, "")
            assert again.since == START + timedelta(days=6, hours=1)


async def test_a_redirect_is_a_failure_and_is_not_followed(app: Tidemill, news: News) -> None:
    async with receiving(Reply(302, (("Location", "/elsewhere"),))) as receiver:
        await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            [retry] = await news.retried(1)
            assert "302" in retry.error.message
            assert [each.target for each in receiver.got] == ["/hook"]


async def test_the_error_of_a_delivery_tells_the_host_and_not_the_rest_of_the_url(
    app: Tidemill, news: News
) -> None:
    async with receiving(Reply(500)) as receiver:
        await app.webhooks.create(receiver.url(path="/hook?token=canary"))
        async with running(app):
            await app.function("work").enqueue()
            [retry] = await news.retried(1)
    assert "127.0.0.1 answered 500" in retry.error.message
    assert "canary" not in retry.error.message + retry.error.traceback


async def test_an_address_inside_is_refused_when_the_webhook_is_made(
    make_app: Callable[..., Tidemill],
) -> None:
    app = make_app(WebhookSettings())
    for url in ("https://127.0.0.1/", "https://169.254.169.254/", "http://example.org/", "x"):
        with pytest.raises(OutboundRefused):
            await app.webhooks.create(url)
    made = await app.webhooks.create("https://example.org/hook")
    with pytest.raises(OutboundRefused):
        await app.webhooks.update(made.webhook.id, url="https://10.0.0.1/")


async def test_what_is_no_longer_allowed_is_refused_when_it_is_delivered(
    app: Tidemill, make_app: Callable[..., Tidemill], news: News
) -> None:
    """As it is with a name whose answer leads inside since the webhook was made."""
    strict = make_app(WebhookSettings(allow_http=True))
    async with receiving() as receiver:
        made = await app.webhooks.create(receiver.url("localhost"))
        async with running(strict):
            await app.function("work").enqueue()
            await news.until(ended(TaskFailed))
            [failed] = [each for each in news.seen if isinstance(each, TaskFailed)]
            assert "refused" in failed.error.message
            assert (await app.webhooks.get(made.webhook.id)).webhook.failing_since == START
        assert receiver.got == []


async def test_during_a_day_after_a_rotation_either_secret_verifies(
    app: Tidemill, clock: VirtualClock
) -> None:
    async with receiving() as receiver:
        made = await app.webhooks.create(receiver.url())
        async with running(app):
            rotated = await app.webhooks.rotate(made.webhook.id)
            await app.function("work").enqueue()
            [got] = await receiver.until_count(1)
            for secret in (made.secret, rotated.secret):
                standardwebhooks.Webhook(secret).verify(got.body, got.headers)
            clock.advance(timedelta(hours=24))
            await app.function("work").enqueue()
            [_, got] = await receiver.until_count(2)
            standardwebhooks.Webhook(rotated.secret).verify(got.body, got.headers)
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(made.secret).verify(got.body, got.headers)


async def test_a_test_is_sent_once_and_also_to_one_that_is_not_active(
    app: Tidemill, news: News
) -> None:
    async with receiving(Reply(200), Reply(500)) as receiver:
        made = await app.webhooks.create(receiver.url(), active=False)
        async with running(app):
            handle = await app.webhooks.test(made.webhook.id)
            assert await handle.result() == 200
            assert said(receiver.got[0])["type"] == "webhook.test"
            again = await app.webhooks.test(made.webhook.id)
            await news.until(ended(TaskFailed))
            assert await again.state() is State.FAILED
            assert (await app.webhooks.get(made.webhook.id)).webhook.failing_since is None


async def test_other_parts_tell_of_what_is_no_task_to_those_who_want_it(app: Tidemill) -> None:
    async with receiving() as receiver:
        made = await app.webhooks.create(receiver.url(), events=["alert.raised"])
        async with running(app):
            await app.webhooks.create(receiver.url(path="/other"))
            for _ in range(2):
                await app.webhooks.notify("alert.raised", {"rule": "failures"}, key="failures:1")
            await receiver.until_count(1)
            [handle] = await app.webhooks.notify("alert.ended", {}, webhook_id=made.webhook.id)
            await handle.result()
            got = await receiver.until_count(2)
    assert [(each.target, said(each)["type"]) for each in got] == [
        ("/hook", "alert.raised"),
        ("/hook", "alert.ended"),
    ]
    assert said(got[0])["data"] == {"rule": "failures"}


async def test_deliveries_of_a_webhook_are_listed_newest_first(app: Tidemill) -> None:
    async with receiving() as receiver:
        made = await app.webhooks.create(receiver.url())
        async with running(app):
            other = await app.webhooks.create(receiver.url("localhost"))
            handles = [await app.webhooks.test(made.webhook.id) for _ in range(3)]
            await (await app.webhooks.test(other.webhook.id)).result()
            page = await app.webhooks.deliveries(made.webhook.id, limit=2)
            rest = await app.webhooks.deliveries(made.webhook.id, limit=2, before=page.cursor)
    listed = [task.id for task in (*page.tasks, *rest.tasks)]
    assert listed == [handle.id for handle in reversed(handles)]


async def test_a_deleted_webhook_is_told_nothing_more(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, news: News
) -> None:
    async with receiving(Reply(500)) as receiver:
        made = await app.webhooks.create(receiver.url())
        async with running(app):
            await app.function("work").enqueue()
            [retry] = await news.retried(1)
            await app.webhooks.delete(made.webhook.id)
            await pass_time(engine, clock, retry.delay)
            await news.until(ended(TaskCancelled))
    assert len(receiver.got) == 1
    for ask in (app.webhooks.get, app.webhooks.delete, app.webhooks.test, app.webhooks.deliveries):
        with pytest.raises(WebhookNotFound):
            await ask(made.webhook.id)
        with pytest.raises(WebhookNotFound):
            await ask("nonsense")


async def test_a_webhook_shows_no_secret(app: Tidemill) -> None:
    made = await app.webhooks.create("https://example.org/", name="shop")
    for shown in (await app.webhooks.list(), await app.webhooks.get(made.webhook.id)):
        assert "whsec_" not in repr(shown)


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": ["task.exploded"]},
        {"events": ["task.progress"]},
        {"events": []},
        {"events": "task.failed"},
        {"queues": ["no name"]},
        {"task_types": [""]},
        {"name": ""},
        {"name": "two\nlines"},
    ],
)
async def test_a_webhook_that_could_never_be_told_anything_is_refused(
    wrong: dict[str, object], app: Tidemill
) -> None:
    with pytest.raises(ConfigError):
        await app.webhooks.create("https://example.org/", **wrong)  # type: ignore[arg-type]  # what is wrong


def test_a_network_that_is_none_is_refused_in_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"10\.0\.0"):
        WebhookSettings(allow_networks=("10.0.0",))
    assert LOOPBACK.networks
