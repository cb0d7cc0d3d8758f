"""Engines that fire, count or restore wrongly."""

from collections.abc import Sequence

import msgspec

from tidemill.clock import to_micros
from tidemill.engine import Fired, Firing, Mark, Put, Tally
from tidemill.engines.memory import MemoryEngine
from tidemill.outcome import Settlement
from tidemill.task import State, Task

_replace = msgspec.structs.replace


class FireNotAtomic(MemoryEngine):
    """Moves the mark first and enqueues in a second step, which may not come."""

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        answers = await super().fire([_replace(each, task=None) for each in firings])
        moved = [
            each.task
            for each, answer in zip(firings, answers, strict=True)
            if each.task and answer is Fired.MISSED
        ]
        await self.enqueue(moved)
        return [Fired.FIRED if each is Fired.MISSED else each for each in answers]


class FireWithoutAMark(MemoryEngine):
    """Relies on the task's id, which is free again once the task was pruned."""

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        for timetable in self._books.timetables.values():
            timetable.at = None
        known = set(self._books.records)
        answers = await super().fire(firings)
        return [
            Fired.ALREADY if each.task and each.task.id in known else answer
            for each, answer in zip(firings, answers, strict=True)
        ]


class FireWhateverTheVersion(MemoryEngine):
    """Fires a schedule as it was before it was changed or paused."""

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return await super().fire([_replace(each, version=None) for each in firings])


class FireByHandMovesTheMark(MemoryEngine):
    """Takes a run out of turn for one in its turn."""

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        answers = await super().fire(firings)
        for each, answer in zip(firings, answers, strict=True):
            if each.by_hand and answer is Fired.FIRED:
                self._books.timetables[each.schedule].at = to_micros(each.at)
        return answers


class SkippedFiresCounted(MemoryEngine):
    """Counts a fire that enqueued nothing."""

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        answers = await super().fire(firings)
        for each, answer in zip(firings, answers, strict=True):
            if answer is Fired.SKIPPED:
                self._books.timetables[each.schedule].count += 1
        return answers


class MarksOutliveTheirSchedules(MemoryEngine):
    """Keeps what a schedule left when it is removed."""

    async def put(self, puts: Sequence[Put]) -> list[object]:  # type: ignore[override]  # a mutant
        kept = dict(self._books.timetables)
        answers = await super().put(puts)
        self._books.timetables |= kept
        return list(answers)


class HistoryCountsStale(MemoryEngine):
    """Counts a settlement again when it is repeated."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        before = {each.claim.task_id for each in settlements} & set(
            self._books.by_state[State.COMPLETED]
        )
        answers = await super().settle(settlements, tx=tx)
        for task_id in before:
            record = self._books.records[task_id]
            self._books.history.count(record, "completed", self._books.now(), timed=True)
        return answers


class HistoryGoesWithItsTasks(MemoryEngine):
    """Forgets what was counted when the tasks are pruned."""

    async def prune(self, limit: int) -> int:
        pruned = await super().prune(limit)
        if pruned:
            self._books.history.forget(1 << 62)
        return pruned


class RestoreSpendsTheAttempt(MemoryEngine):
    """Counts the attempt that was under way when the backup was taken."""

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        changed = [
            _replace(task, attempt=task.attempt + 1) if task.state is State.RUNNING else task
            for task in tasks
        ]
        return await super().restore(changed, marks=marks, tallies=tallies)


class RestoreOverwritesMarks(MemoryEngine):
    """Sets a schedule back to where it was."""

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        for mark in marks:
            self._books.timetables.pop(mark.schedule, None)
        return await super().restore(tasks, marks=marks, tallies=tallies)
