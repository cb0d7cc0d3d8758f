"""The resources of a process: opened in order, closed in reverse."""

from collections.abc import Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tidemill.context import Resource
from tidemill.errors import WorkerError


class Resources:
    """The opened resources of one process."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._values: dict[str, Any] = {}

    async def open(self, declared: Sequence[Resource[Any]]) -> None:
        """Open each, in order; one that fails closes those before it and raises its error."""
        try:
            for resource in declared:
                opener = asynccontextmanager(resource.open)()
                self._values[resource.name] = await self._stack.enter_async_context(opener)
        except BaseException:
            await self._stack.aclose()
            raise

    def get(self, name: str) -> Any:
        """The value of an opened resource."""
        if name not in self._values:
            raise WorkerError(f"no resource {name!r} is open here: declare it with @app.resource")
        return self._values[name]

    async def close(self) -> None:
        """Close all, in reverse."""
        self._values.clear()
        await self._stack.aclose()
