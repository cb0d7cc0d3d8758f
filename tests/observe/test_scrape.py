"""A scrape of a worker that works: it parses, and says what the test counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.observe.scraping import OPEN, Scrape, scraped
from tidemill import Cancel, Event, TaskCompleted, TasksSettled, Tidemill
from tidemill.metrics import MOST_VALUES, OTHER
from tidemill.node import Node
from tidemill.observe.exposition import exposition
from tidemill.observe.reading import Metering, watching_loop
from tidemill.observe.serving import serving_metrics


@asynccontextmanager
async def working(app: Tidemill) -> AsyncIterator[None]:
    """A node of the application runs until the end of the block."""
    node = Node(app)
    running = asyncio.ensure_future(node.run())
    try:
        yield
    finally:
        node.drain("the test is over")
        await running


async def settled(app: Tidemill, count: int) -> None:
    """Return when so many outcomes were recorded from now on."""
    done, left = asyncio.Event(), count

    def on_settled(event: TasksSettled) -> None:
        nonlocal left
        left -= len(event.ends)
        if left <= 0:
            done.set()

    app.bus.subscribe(TasksSettled, on_settled)
    async with asyncio.timeout(30):
        await done.wait()


def _shop() -> Tidemill:
    app = Tidemill("memory://")

    @app.task(name="fine", queue="a")
    async def fine(n: int) -> int:
        return n

    @app.task(name="bad", queue="b", max_attempts=1)
    async def bad(n: int) -> None:
        raise ValueError(n)

    @app.task(name="never", queue="b")
    def never(n: int) -> Cancel:
        return Cancel(str(n))

    return app


async def test_the_counters_equal_the_tasks_that_the_test_counted() -> None:
    app = _shop()
    seen: Counter[str] = Counter()
    app.on(Event)(lambda event: seen.update([type(event).__name__]))
    metering = Metering(app)
    calls = [app.function(name).call(n=n) for n in range(300) for name in ("fine", "bad", "never")]
    async with serving_metrics(metering.families, 0) as port, watching_loop(app), working(app):
        done = asyncio.ensure_future(settled(app, 900))
        await asyncio.sleep(0)
        await app.enqueue_many(calls)
        during = await scraped(port)
        await done
        after = await scraped(port)
    assert during.value("tidemill_tasks_enqueued_total") == 900
    completed = {"queue": "a", "task_type": "fine"}
    assert after.value("tidemill_tasks_completed_total", **completed) == 300
    assert after.value("tidemill_tasks_completed_total") == seen["TaskCompleted"] == 300
    assert after.value("tidemill_tasks_failed_total") == seen["TaskFailed"] == 300
    assert after.value("tidemill_tasks_cancelled_total") == seen["TaskCancelled"] == 300
    assert after.value("tidemill_tasks_retried_total") == 0
    for family in ("run", "wait"):
        assert after.value(f"tidemill_task_{family}_seconds_count") == 900
        assert after.value(f"tidemill_task_{family}_seconds_bucket", le="+Inf") == 900
    assert after.value("tidemill_claimed_tasks_total") == 900
    assert after.value("tidemill_settle_tasks_sum") == 900
    assert after.value("tidemill_pool_slots", pool="loop") == 100
    assert after.value("tidemill_pool_slots_used") == 0
    assert after.value("process_resident_memory_bytes") > 1_000_000


async def test_a_queue_is_counted_by_state_and_its_oldest_task_has_an_age() -> None:
    app = _shop()
    await app.enqueue_many([app.function("fine").call(n=n) for n in range(3)])
    await app.function("fine").options(delay=60).enqueue(n=4)
    text, _ = exposition(await Metering(app).families(), "")
    scrape = Scrape.of(text.decode())
    assert scrape.value("tidemill_queue_tasks", queue="a", state="pending") == 3
    assert scrape.value("tidemill_queue_tasks", queue="a", state="scheduled") == 1
    assert scrape.value("tidemill_queue_oldest_seconds", queue="a") > 0
    assert scrape.value("tidemill_engine_up") == 1
    await app.close()


async def test_an_engine_that_does_not_answer_leaves_the_other_metrics() -> None:
    app = Tidemill("sqlite:////no/such/folder/tidemill.db")
    text, _ = exposition(await Metering(app).families(), "")
    scrape = Scrape.of(text.decode())
    assert "tidemill_engine_up 0.0" in text.decode()
    assert scrape.value("process_threads") >= 1


@pytest.mark.parametrize("accept", ["", OPEN])
async def test_both_formats_parse_and_say_the_same(accept: str) -> None:
    app = _shop()
    async with serving_metrics(Metering(app).families, 0) as port, working(app):
        done = asyncio.ensure_future(settled(app, 1))
        await asyncio.sleep(0)
        await app.function("fine").enqueue(n=1)
        await done
        scrape = await scraped(port, accept)
    assert scrape.value("tidemill_tasks_completed_total") == 1


async def test_ten_thousand_payloads_users_and_ids_make_no_more_series() -> None:
    app = _shop()
    metering = Metering(app)
    async with working(app):
        done = asyncio.ensure_future(settled(app, 10_000))
        await asyncio.sleep(0)
        for start in range(0, 10_000, 1_000):
            await app.enqueue_many(
                app.function("fine").options(user_id=f"u{n}", tags=(f"t{n}",)).call(n=n)
                for n in range(start, start + 1_000)
            )
        await done
        text, _ = exposition(await metering.families(), "")
    scrape = Scrape.of(text.decode())
    assert scrape.value("tidemill_tasks_completed_total") == 10_000
    assert len(list(scrape.samples())) < 250
    assert len(text) < 30_000


async def test_queues_without_number_are_counted_together() -> None:
    app = _shop()
    for start in range(0, MOST_VALUES + 20, 100):
        await app.enqueue_many(
            app.function("fine").options(queue=f"q{n}").call(n=n) for n in range(start, start + 100)
        )
    text, _ = exposition(await Metering(app).families(), "")
    scrape = Scrape.of(text.decode())
    queues = {labels["queue"] for name, labels, _ in scrape.samples() if "queue" in labels}
    assert len(queues) == MOST_VALUES + 1
    assert scrape.value("tidemill_queue_tasks", state="pending") == 600
    assert scrape.value("tidemill_queue_tasks", queue=OTHER) == 100
    await app.close()


async def test_a_server_of_metrics_has_nothing_else() -> None:
    async with (
        serving_metrics(Metering(_shop()).families, 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
        head = await client.head("/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert (await client.get("/metrics?x=1")).status_code == 200


async def test_a_client_that_says_nonsense_does_not_disturb_the_next() -> None:
    async with serving_metrics(Metering(_shop()).families, 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00" * 40_000)
        await writer.drain()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        assert (await scraped(port)).value("tidemill_engine_up") == 1


async def test_the_metrics_of_an_application_stand_beside_ours() -> None:
    """The family of the novel backend's job worker, built on public names only."""
    app = _shop()
    queued = app.metrics.gauge("z_novel_jobs_queued", "Number of jobs in queue", ("stream",))
    completed = app.metrics.counter(
        "z_novel_jobs_completed_total", "Total completed jobs", ("task_type",)
    )
    duration = app.metrics.histogram(
        "z_novel_job_duration_seconds",
        "Duration of jobs",
        ("task_type",),
        bounds=(1, 5, 10, 30, 60, 120, 300),
    )
    failed = app.metrics.counter("z_novel_jobs_failed_total", "Total failed jobs", ("task_type",))

    @app.on(TaskCompleted)
    def on_completed(event: TaskCompleted) -> None:
        completed.add(task_type=event.task_type)
        duration.record(event.ran_for.total_seconds(), task_type=event.task_type)

    async with serving_metrics(Metering(app).families, 0) as port, working(app):
        done = asyncio.ensure_future(settled(app, 5))
        await asyncio.sleep(0)
        await app.enqueue_many(app.function("fine").call(n=n) for n in range(5))
        await done
        for each in await app.queue_statistics():
            queued.set(sum(each.waiting.values()), stream=each.name)
        failed.add(task_type="fine")
        scrape = await scraped(port)
    assert scrape.value("z_novel_jobs_queued", stream="a") == 0
    assert scrape.value("z_novel_jobs_completed_total", task_type="fine") == 5
    assert scrape.value("z_novel_jobs_failed_total", task_type="fine") == 1
    assert scrape.value("z_novel_job_duration_seconds_count", task_type="fine") == 5
    assert scrape.value("z_novel_job_duration_seconds_bucket", le="1.0") == 5
    ends = [
        labels["le"]
        for name, labels, _ in scrape.samples()
        if name == "z_novel_job_duration_seconds_bucket"
    ]
    assert ends == ["1.0", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "+Inf"]
