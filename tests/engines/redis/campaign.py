"""A random use of every feature of an engine, and the end of all that it made."""

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Literal

from tidemill.engine import (
    SCHEDULE,
    Extension,
    Firing,
    HistoryQuery,
    Put,
    QueueDefinition,
    Resolution,
)
from tidemill.errors import QueueFull
from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Settlement,
    Snoozed,
    Waiting,
)
from tidemill.rates import Rate
from tidemill.task import (
    After,
    Claim,
    Limit,
    LogLine,
    NewTask,
    Progress,
    Retention,
    UniqueKey,
)
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import NO_TIME, Lab

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
QUEUES = ("a", "b", "c:d")
SCHEDULES = ("s", "s:1")
TYPES = ("work", "mail", "unknown:1", "unknown:2")
KNOWN = frozenset({"work", "mail"})


@dataclass
class Campaign:
    """One history, the same for the same seed."""

    lab: Lab
    seed: int
    queues: tuple[str, ...] = QUEUES
    claims: list[Claim] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    async def run(self, steps: int) -> None:
        """Make so many calls."""
        verbs = (
            *(self.enqueue, self.claim, self.settle) * 4,
            *(self.extend, self.cancel, self.retry, self.remove, self.fire, self.sweep),
            *(self.document, self.define, self.queue, self.read, self.restore),
        )
        for _ in range(steps):
            await self.random.choice(verbs)()
            self.lab.clock.advance(self.random.choice((NO_TIME, SECOND, 20 * SECOND)))

    def task(self) -> NewTask:
        pick = self.random.choice
        soon = self.lab.now(pick((SECOND, MINUTE)))
        return self.lab.new(
            queue=pick(self.queues),
            task_type=pick((*TYPES, "work", "work")),
            priority=pick((5, 5, 0, 10)),
            max_attempts=pick((1, 2, 4)),
            delay=pick((None, None, SECOND, MINUTE)),
            expires_at=pick((None, None, None, soon)),
            unique=pick((None, None, self.unique())),
            limit=pick((None, None, Limit(pick("kl"), pick((1, 2))))),
            after=pick((None, None, self.after())),
            retention=pick((Retention(), Retention(NO_TIME, MINUTE, DAY))),
            user_id=pick((None, "u1", "u2")),
            project_id=pick((None, "p")),
            parent_id=pick((None, *self.ids[-2:])),
            tags=pick(((), ("t",), ("t", "u"))),
            headers=pick(({}, {"trace": "1"})),
        )

    def unique(self) -> UniqueKey:
        on_conflicts: tuple[Literal["keep", "replace"], ...] = ("keep", "replace")
        ends: tuple[Literal["start", "end"], ...] = ("start", "end")
        pick = self.random.choice
        return UniqueKey(
            pick("xy"),
            pick(ends),
            pick(on_conflicts),
            lasting=pick((None, None, MINUTE)),
            cached=pick((None, None, MINUTE)),
            within=pick((None, MINUTE)),
        )

    def after(self) -> After:
        policies: tuple[Literal["fail", "skip", "continue"], ...] = ("fail", "skip", "continue")
        pick = self.random.choice
        return After(self.some_ids(), pick(policies), pick((False, False, True)))

    def tasks(self, most: int) -> tuple[NewTask, ...]:
        made = tuple(self.task() for _ in range(self.random.randint(0, most)))
        self.ids += [task.id for task in made]
        return made

    def some_ids(self) -> tuple[str, ...]:
        return tuple(self.random.sample(self.ids, min(3, len(self.ids))))

    def progress(self) -> Progress | None:
        return self.random.choice((None, Progress(10.0, "begun")))

    def logs(self) -> tuple[LogLine, ...]:
        return (LogLine(self.lab.now(), "info", "here", 1),) * self.random.randint(0, 2)

    async def enqueue(self) -> None:
        with contextlib.suppress(QueueFull):
            await self.lab.engine.enqueue(self.tasks(4))

    async def claim(self) -> None:
        limit, worker = self.random.choice((1, 3, 10)), self.random.choice(("w1", "w2", "w3"))
        self.claims += await self.lab.claim(limit, worker=worker, alone=limit, task_types=KNOWN)

    async def settle(self) -> None:
        ended = [self.claims.pop() for _ in range(min(len(self.claims), 3))]
        await self.lab.engine.settle([self.settlement(claim) for claim in ended])

    def settlement(self, claim: Claim) -> Settlement:
        made, pick = self.tasks(2), self.random.choice
        younger = [each for each in self.some_ids() if each > claim.ref.task_id]  # no circles
        outcomes: tuple[Outcome, ...] = (
            Completed(b"result"),
            Failed(BROKE),
            Cancelled("enough"),
            Retried(BROKE, pick((NO_TIME, SECOND)), pick((False, True))),
            Snoozed(SECOND, "later"),
            Released(),
            Waiting((*younger, *(task.id for task in made))),
        )
        return Settlement(claim.ref, pick(outcomes), made, self.progress(), self.logs())

    async def extend(self) -> None:
        held = [Extension(claim.ref, self.progress(), self.logs()) for claim in self.claims]
        await self.lab.engine.extend(held, 30 * SECOND)

    async def cancel(self) -> None:
        await self.lab.engine.cancel(self.some_ids(), "changed my mind")

    async def retry(self) -> None:
        await self.lab.engine.retry(self.some_ids())

    async def remove(self) -> None:
        await self.lab.engine.remove(self.some_ids())

    async def fire(self) -> None:
        pick, at = self.random.choice, self.lab.now(-self.random.choice((NO_TIME, SECOND)))
        version, by_hand = pick((None, None, 1)), pick((False, False, True))
        tasks = self.tasks(2) or (None,)
        await self.lab.engine.fire(
            [Firing(pick(SCHEDULES), at, task, version, by_hand=by_hand) for task in tasks]
        )

    async def sweep(self) -> None:
        await self.lab.engine.promote(20)
        await self.lab.engine.reclaim(20)
        await self.lab.engine.prune(20)

    async def document(self) -> None:
        await self.lab.engine.put([Put("kind", self.random.choice("xy"), b"body")])

    async def define(self) -> None:
        body = self.random.choice((b"{}", None))
        await self.lab.engine.put([Put(SCHEDULE, self.random.choice(SCHEDULES), body)])

    async def restore(self) -> None:
        """Take tasks in that are gone, as they were enqueued."""
        tasks = await self.lab.find(limit=5)
        final = [task.id for task in tasks if task.state.final]
        await self.lab.engine.remove(final)
        await self.lab.engine.restore(tasks)

    async def queue(self) -> None:
        pick = self.random.choice
        name = pick(self.queues)
        await self.lab.engine.pause(name, paused=pick((False, False, True)))
        definition = QueueDefinition(
            name,
            weight=self.random.randint(1, 3),
            lease=MINUTE,
            concurrency=pick((None, None, 2)),
            worker_concurrency=pick((None, None, 1)),
            rate=pick((None, None, Rate(3, MINUTE, 2))),
            capacity=pick((None, None, 20)),
        )
        await self.lab.engine.configure([definition])

    async def read(self) -> None:
        await self.lab.find(tags=("t",), user_id="u1")
        await self.lab.engine.stats()
        await self.lab.feed()
        await self.lab.engine.marks(SCHEDULES, 5)
        await self.history()

    async def history(self) -> None:
        query = HistoryQuery(
            since=self.lab.now(-DAY),
            until=self.lab.now(DAY),
            resolution=self.random.choice(tuple(Resolution)),
            together=self.random.choice((False, True)),
        )
        await self.lab.engine.history(query)

    async def end(self) -> None:
        """Let every task that there is come to its end, and remove all of them."""
        for name in QUEUES:
            await self.lab.engine.pause(name, paused=False)
            await self.lab.engine.configure([QueueDefinition(name)])
        for turn in range(200):
            if (
                turn == 50
            ):  # what is left waits in a circle: a parent for a child that comes after it
                await self.lab.engine.cancel(self.ids)
            self.lab.clock.advance(2 * MINUTE)
            await self.lab.engine.promote(1000)
            await self.lab.engine.reclaim(1000)
            claims = await self.lab.claim(100, alone=100, task_types=frozenset(TYPES))
            await self.lab.engine.settle([Settlement(each.ref, Completed()) for each in claims])
            counts = (await self.lab.engine.stats()).counts
            if all(count.state.final for count in counts):
                break
        self.lab.clock.advance(31 * DAY)
        while await self.lab.engine.prune(1000):
            pass
        await self.lab.engine.promote(1000)  # the index catches up
