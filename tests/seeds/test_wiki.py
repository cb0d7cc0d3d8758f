"""The timetable of the repository wiki (seeds/003, `BEAT_SCHEDULE`), one test each."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tidemill import Tidemill
from tidemill.testing import Harness

DAY = timedelta(days=1)


def wiki() -> Tidemill:
    """The tasks that the timetable names, declared with it in code."""
    app = Tidemill("memory://", routes={"tasks.warehouse_*": "warehouse"})

    @app.task(name="tasks.warehouse_tasks.schedule_warehouse_processing")
    async def schedule_warehouse_processing() -> None:
        return None

    @app.task(name="tasks.warehouse_tasks.schedule_warehouse_updates")
    async def schedule_warehouse_updates() -> None:
        return None

    @app.task(name="tasks.statistics_tasks.generate_statistics_task")
    async def generate_statistics_task() -> None:
        return None

    @app.task(name="tasks.minimap_tasks.generate_minimap_task")
    async def generate_minimap_task() -> None:
        return None

    app.schedule("process-pending-warehouses", schedule_warehouse_processing, every=300.0)
    app.schedule("process-warehouse-updates", schedule_warehouse_updates, every=3600.0)
    app.schedule(
        "generate-daily-statistics",
        generate_statistics_task,
        cron="0 1 * * *",
        timezone="Asia/Shanghai",
    )
    app.schedule("generate-minimaps", generate_minimap_task, every=600.0)
    return app


@pytest.mark.parametrize(
    ("name", "fires"),
    [
        ("process-pending-warehouses", 288),
        ("process-warehouse-updates", 24),
        ("generate-daily-statistics", 1),
        ("generate-minimaps", 144),
    ],
)
async def test_a_schedule_declared_in_code_fires_as_often_as_the_timetable_says(
    name: str, fires: int
) -> None:
    app = wiki()
    async with Harness(app) as harness:
        await harness.run_for(DAY)
        found = await app.schedules.get(name)
        assert (found.run_count, found.schedule.declared) == (fires, True)


async def test_statistics_are_made_at_one_in_the_morning() -> None:
    app = wiki()
    async with Harness(app) as harness:
        await harness.run_for(DAY)
        [fire] = await app.schedules.history("generate-daily-statistics")
        at = fire.at.astimezone(ZoneInfo("Asia/Shanghai"))
        assert (at.hour, at.minute) == (1, 0)


async def test_the_timetable_goes_on_where_it_stood_when_the_store_is_opened_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('wiki')}/tasks.db"
    seen: set[datetime] = set()
    clock = None
    for _ in range(2):
        app = wiki()
        async with Harness(app, url=url, clock=clock) as harness:
            clock = harness.clock
            await harness.run_for(hours=2)
            found = await app.schedules.get("process-warehouse-updates")
            seen = {fire.at for fire in found.fires}
    assert len(seen) == 4
    ordered = sorted(seen)
    gaps = {later - earlier for earlier, later in pairwise(ordered)}
    assert gaps == {timedelta(hours=1)}
