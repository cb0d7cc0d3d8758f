"""An application on any engine, with a clock that moves when told and a worker's part."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.app.conftest import Hand
from tests.engines.makers import ENGINES, Servers
from tidemill import Tidemill, VirtualClock
from tidemill.clock import from_micros
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Outcome

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Scene:
    """An application with two task types, its clock, and a worker's part."""

    app: Tidemill
    clock: VirtualClock
    hand: Hand

    @property
    def now(self) -> datetime:
        return from_micros(self.clock.now())

    async def end(
        self,
        outcome: Outcome | None = None,
        *,
        of: str = "render",
        wait: timedelta = MILLISECOND,
        run: timedelta = MILLISECOND,
    ) -> None:
        """Enqueue a task, let it wait and run, and end it."""
        await self.app.function(of).enqueue()
        self.clock.advance(wait)
        claim = await self.hand.take()
        self.clock.advance(run)
        await self.hand.settle(claim, outcome or Completed())

    async def end_many(self, number: int, outcome: Outcome, *, of: str = "render") -> list[str]:
        """Enqueue tasks and end them in the same way; answers their ids."""
        handles = await self.app.function(of).enqueue_many([{}] * number)
        for claim in await self.hand.claim(number):
            await self.hand.settle(claim, outcome)
        return [handle.id for handle in handles]


MakeScene = Callable[[], AbstractAsyncContextManager[Scene]]


@contextmanager
def scenes(kind: str, folder: Path) -> Iterator[MakeScene]:
    """Opens scenes on one kind of engine."""
    servers = Servers(folder)
    with ENGINES[kind].stores(servers) as make:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Scene]:
            clock = VirtualClock()
            engine = make(clock)
            app = Tidemill("memory://")
            app.use_engine(engine, clock=clock)

            @app.task(name="render", queue="images", max_attempts=9)
            def render() -> None: ...

            @app.task(name="send", queue="mail", max_attempts=9)
            def send() -> None: ...

            try:
                yield Scene(app, clock, Hand(app, clock, IdMaker()))
            finally:
                await app.close()
                await engine.close()

        yield opened
    servers.close()
