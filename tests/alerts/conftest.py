"""An application whose alerts are looked at by hand, on engines with a virtual clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.app.conftest import Hand
from tidemill import Tidemill, VirtualClock
from tidemill.alert import AlertRule, AlertSettings, Notice
from tidemill.alerts import AlertWatch, Delivery
from tidemill.alerts.notices import FailuresNotice
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import ClaimRequest, TaskQuery
from tidemill.engines.memory import MemoryEngine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Failed
from tidemill.task import State, Task, TaskError

QUIET = {name: AlertRule(enabled=False) for name in ("cpu", "memory")}
"""The machine's own load is no matter of these tests."""


@dataclass
class Scene:
    """An application, a watch over it, and a worker's part."""

    app: Tidemill
    clock: VirtualClock
    settings: AlertSettings
    watch: AlertWatch
    hand: Hand
    seen: set[str] = field(default_factory=set)

    def another(self) -> AlertWatch:
        """A watch of another node."""
        return AlertWatch(self.app, self.settings, Delivery(self.app, self.settings))

    async def look(self, *, after: float = 0) -> list[dict[str, Any]]:
        """What is told at a look, some seconds later: payloads of the tasks that tell it."""
        self.clock.advance(timedelta(seconds=after))
        engine = await self.app.engine()
        await self.watch.look(engine)
        query = TaskQuery(queues=frozenset({"tidemill.alerts"}), details=True, limit=500)
        told = [task for task in (await engine.find(query)).tasks if task.id not in self.seen]
        self.seen |= {task.id for task in told}
        return [self.payload(task) for task in reversed(told)]

    def payload(self, task: Task) -> dict[str, Any]:
        told = DEFAULT_CODEC.decode(task.payload or b"")
        shape = Notice if task.task_type == "tidemill.alert" else FailuresNotice
        return {"channel": told.get("channel"), "notice": msgspec.convert(told["notice"], shape)}

    async def end(self, count: int, *, failing: bool = False) -> None:
        """Let so many waiting tasks of the application end."""
        engine = await self.app.engine()
        request = ClaimRequest(
            claim_id=self.hand.ids.make(),
            worker="hand",
            queues=None,
            task_types=frozenset({"work"}),
            limit=count,
        )
        for claim in await engine.claim(request):
            error = TaskError("builtins.ValueError", "a canary 7f3a", fingerprint="f" * 16)
            outcome = Failed(error) if failing else Completed()
            assert await self.hand.settle(claim, outcome) in {State.FAILED, State.COMPLETED}


async def work() -> None: ...


MakeScene = Callable[..., Scene]


@pytest.fixture
def scene() -> MakeScene:
    """Makes a scene; what is said are alert settings."""

    def make(**said: Any) -> Scene:
        clock = VirtualClock()
        app = Tidemill("memory://")
        app.use_engine(MemoryEngine(clock=clock), clock=clock)
        app.task(name="work")(work)
        rules = {**QUIET, "no_worker": AlertRule(enabled=False), **said.pop("rules", {})}
        settings = AlertSettings(rules=rules, **said)
        watch = AlertWatch(app, settings, Delivery(app, settings))
        return Scene(app, clock, settings, watch, Hand(app, clock, IdMaker()))

    return make
