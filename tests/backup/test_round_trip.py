"""What is backed up comes back, in an engine of the same kind or of another."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.backup.conftest import DAY, MINUTE, OpenLab, opener, others_of, settled, tasks_of
from tests.engines.makers import ENGINES, Servers
from tidemill.backup import backup, restore
from tidemill.engine import SCHEDULE, Fired, Firing, Put, QueueDefinition
from tidemill.errors import Conflict, EngineUnavailable
from tidemill.outcome import Completed, Waiting
from tidemill.queue import QUEUE, QueueChanges, QueueDocument, encode
from tidemill.rates import Rate
from tidemill.task import State, Task
from tidemill.testing import Lab
from tidemill.testing.lab import LabClock


async def test_all_comes_back_as_it_was(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as source, open_lab() as target:
        await settled(source)
        report = await backup(source.engine, file)
        found = await restore(target.engine, file)
        tasks = await tasks_of(source)
        assert await tasks_of(target) == tasks
        assert (report.tasks, report.missing) == (len(tasks), 0)
        assert (found.restored, found.known) == (len(tasks), 0)
        queues, documents, marks, tallies = await others_of(source)
        back = await others_of(target)
        assert back[0] == queues
        assert [(each.key, each.body) for each in back[1]] == [
            (each.key, each.body) for each in documents
        ]
        assert back[2:] == (marks, tallies)
        assert marks[0].count == 1
        assert len(tallies) == 6


@pytest.mark.parametrize(
    "journey",
    [("sqlite", "valkey", "sqlite"), ("valkey", "memory", "redis"), ("lanes", "sqlite", "memory")],
    ids="-".join,
)
async def test_records_survive_a_journey_from_engine_to_engine(
    journey: Sequence[str], servers: Servers, clock: LabClock, tmp_path: Path
) -> None:
    missing = set(journey) - ENGINES.keys()
    if missing:
        pytest.skip(f"not on this machine: {missing}")
    with ExitStack() as opened:
        makers = {kind: opened.enter_context(ENGINES[kind].stores(servers)) for kind in journey}
        async with opener(makers[journey[0]], clock)() as source:
            await settled(source)
            tasks, others = await tasks_of(source), await others_of(source)
            await backup(source.engine, tmp_path / "0.gz")
        for number, kind in enumerate(journey[1:]):
            async with opener(makers[kind], clock)() as lab:
                await restore(lab.engine, tmp_path / f"{number}.gz")
                await backup(lab.engine, tmp_path / f"{number + 1}.gz")
                assert await tasks_of(lab) == tasks, kind
                other = await others_of(lab)
                assert (other[0], other[2:]) == (others[0], others[2:]), kind


async def test_live_work_goes_on_where_it_is_restored(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as source, open_lab() as target:
        parent, running = await source.start(queue="a"), await source.start(queue="b")
        child = await source.add(queue="c")
        await source.settle(parent, Waiting((child,)))
        stopping = await source.start(queue="d")
        await source.engine.cancel([stopping.ref.task_id], "enough")
        await backup(source.engine, file)
        await restore(target.engine, file)
        assert await target.states(
            parent.ref.task_id, running.ref.task_id, child, stopping.ref.task_id
        ) == [State.PENDING, State.PENDING, State.PENDING, State.CANCELLED]
        for claim in await target.claim():
            assert claim.attempt == 1
            assert await target.settle(claim, Completed()) is State.COMPLETED


async def test_restored_tasks_are_claimed_in_the_order_of_before(
    open_lab: OpenLab, file: Path
) -> None:
    async with open_lab() as source, open_lab() as target:
        ids = [await source.add() for _ in range(1_203)]
        await backup(source.engine, file)
        await restore(target.engine, file)
        assert await target.claimed(2_000) == ids


async def test_a_schedule_goes_on_after_its_mark(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as source, open_lab() as target:
        await source.engine.put([Put(SCHEDULE, "daily", b"{}")])
        first, second = source.new(), source.new()
        instants = [source.now(-DAY), source.now(-MINUTE)]
        await source.engine.fire([Firing("daily", instants[0], first, version=1)])
        await backup(source.engine, file)
        await restore(target.engine, file)
        answers = await target.engine.fire(
            [
                Firing("daily", instants[0], first, version=1),
                Firing("daily", instants[1], second, version=1),
            ]
        )
        assert answers == [Fired.ALREADY, Fired.FIRED]


async def test_it_stays_known_who_said_what_of_a_queue(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as source, open_lab() as target:
        whole = QueueDefinition(
            "mail", concurrency=5, rate=Rate(100, MINUTE, burst=10), capacity=1_000
        )
        body = encode(QueueDocument(whole, QueueChanges(concurrency=7)))
        changed = msgspec.structs.replace(whole, concurrency=7)
        await source.engine.configure([changed])
        await source.engine.put([Put(QUEUE, "mail", body)])
        await backup(source.engine, file)
        await restore(target.engine, file)
        [status] = (await target.engine.stats()).queues
        assert status.definition == changed
        [document] = await target.engine.get(QUEUE, ["mail"])
        assert document is not None
        assert document.body == body


async def test_restoring_tells_schedulers_that_there_are_schedules(
    open_lab: OpenLab, file: Path
) -> None:
    async with open_lab() as source, open_lab() as target:
        await settled(source)
        await backup(source.engine, file)
        await restore(target.engine, file)
        [revision] = await target.engine.get("schedules", ["revision"])
        assert revision is not None
        await target.engine.put([Put(SCHEDULE, "daily", None)])
        await restore(target.engine, file, into_used=True)
        [later] = await target.engine.get("schedules", ["revision"])
        assert later is not None
        assert later.body != revision.body


async def test_an_engine_that_holds_something_is_refused(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as source, open_lab() as target:
        await source.add()
        await backup(source.engine, file)
        await target.engine.put([Put(SCHEDULE, "daily", b"{}")])
        with pytest.raises(Conflict, match=r"holds 0 tasks and 1 schedules already.*empty one"):
            await restore(target.engine, file)
        await target.engine.put([Put(SCHEDULE, "daily", None)])
        await target.add()
        with pytest.raises(Conflict, match="holds 1 tasks"):
            await restore(target.engine, file)
        assert len(await target.find()) == 1


async def test_what_an_engine_in_use_knows_stays_as_it_is(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as lab, open_lab() as target:
        await settled(lab)
        await backup(lab.engine, file)
        await target.engine.configure([QueueDefinition("urgent", 1)])
        await target.engine.put([Put(SCHEDULE, "hourly", b"mine")])
        [kept, *_] = await tasks_of(lab)
        await target.engine.enqueue([target.new()])
        await restore(target.engine, file, into_used=True)
        assert kept in await tasks_of(target)
        queues, documents, _, _ = await others_of(target)
        assert {each.name: (each.definition.weight, each.paused) for each in queues}["urgent"] == (
            1,
            False,
        )
        assert {each.name: each.paused for each in queues}["waiting"] is True
        assert {each.key: each.body for each in documents}["hourly"] == b"mine"


async def test_a_restore_that_was_cut_off_is_repeated(
    open_lab: OpenLab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_lab() as source, open_lab() as target:
        await settled(source)
        await source.engine.enqueue([source.new(queue="many") for _ in range(1_200)])
        await backup(source.engine, file)
        calls = 0
        through = target.engine.restore

        async def cut_off(tasks: Sequence[Task], **besides: Any) -> list[bool]:
            nonlocal calls
            calls += bool(tasks)
            if calls == 2:
                raise EngineUnavailable
            return await through(tasks, **besides)

        with monkeypatch.context() as patch:
            patch.setattr(target.engine, "restore", cut_off)
            with pytest.raises(EngineUnavailable):
                await restore(target.engine, file)
        begun = len((await tasks_of(target)).keys())
        report = await restore(target.engine, file, into_used=True)
        assert report.known == (await count(target)) - report.restored > 0
        assert begun > 0
        assert await tasks_of(target) == await tasks_of(source)
        assert (await others_of(target))[2:] == (await others_of(source))[2:]


async def count(lab: Lab) -> int:
    return sum(each.count for each in (await lab.engine.stats()).counts)


async def test_progress_is_told_on_both_ways(open_lab: OpenLab, file: Path) -> None:
    async with open_lab() as source, open_lab() as target:
        await source.engine.enqueue([source.new() for _ in range(750)])
        told: list[tuple[int, int | None]] = []
        await backup(source.engine, file, progress=lambda *each: told.append(each))
        await restore(target.engine, file, progress=lambda *each: told.append(each))
        assert told == [(500, 750), (750, 750), (250, 750), (750, 750)]


async def test_tasks_removed_before_the_backup_comes_to_them_are_counted(
    open_lab: OpenLab, file: Path
) -> None:
    async with open_lab() as lab:
        claims = [await lab.start() for _ in range(2)]
        for claim in claims:
            await lab.settle(claim, Completed())
        await lab.engine.enqueue([lab.new() for _ in range(600)])
        gone: list[bool] = []
        loop_of = lab.engine.remove

        async def find(query: Any) -> Any:
            page = await through(query)
            if not gone:
                gone.extend(await loop_of([claims[0].ref.task_id]))
            return page

        through = lab.engine.find
        lab.engine.find = find  # type: ignore[method-assign]  # somebody prunes meanwhile
        report = await backup(lab.engine, file)
        assert (report.tasks, report.missing) == (601, 1)
