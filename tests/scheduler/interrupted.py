"""An engine between whose calls somebody else does something."""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from tidemill.engine import Engine

Interruption = Callable[[], Awaitable[object]]


class Interrupted:
    """Passes calls on; before a call of a verb, the next interruption planned for it happens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._planned: dict[str, list[Interruption]] = {}

    def before(self, verb: str, *happens: Interruption) -> None:
        """Plan what happens before the next calls of a verb."""
        self._planned.setdefault(verb, []).extend(happens)

    def session(self) -> Self:
        return self

    def __getattr__(self, verb: str) -> Any:
        made = getattr(self._engine, verb)
        if not self._planned.get(verb):
            return made

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._planned[verb].pop(0)()
            return await made(*args, **kwargs)

        return call
