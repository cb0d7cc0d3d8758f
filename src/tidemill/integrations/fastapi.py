"""Tidemill inside FastAPI, and inside plain Starlette.

    app = FastAPI(lifespan=lifespan(mill))
    Mill = Annotated[Tidemill, Depends(get_tidemill)]

The HTTP interface of Tidemill is mounted like any other: `app.mount("/tasks", create_api(mill))`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from tidemill.app import Tidemill
from tidemill.errors import ConfigError
from tidemill.node import Node

try:
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as error:
    raise ImportError(
        "tidemill.integrations.fastapi needs FastAPI or Starlette: pip install fastapi"
    ) from error

__all__ = ["Lifespan", "get_tidemill", "lifespan"]

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
"""What FastAPI and Starlette take as `lifespan`."""


def lifespan(
    app: Tidemill, *, run_node: bool = False, inner: Lifespan | None = None
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """The lifespan of a web application that enqueues tasks of `app`.

    The engine is opened when the web application starts, which fails if that is not possible, and
    closed at its end. `inner` is a lifespan that the web application has already: it runs inside,
    and the state that it gives is kept. With `run_node` the web process runs the tasks too, for
    development and small sites; at its end they have the grace time of the worker's settings.
    """

    @asynccontextmanager
    async def opened(site: Any) -> AsyncIterator[dict[str, Any]]:
        await app.engine()
        try:
            async with (
                _node(app) if run_node else nullcontext(),
                inner(site) if inner else nullcontext() as state,
            ):
                yield {**(state or {}), "tidemill": app}
        finally:
            await app.close()

    return opened


async def get_tidemill(connection: HTTPConnection) -> Tidemill:
    """Give the application that `lifespan` opened to a request or a web socket.

    A dependency of FastAPI (`Depends(get_tidemill)`, and tests override it by that name); in
    Starlette, call it with the request. Raises `ConfigError` without the lifespan.
    """
    app = getattr(connection.state, "tidemill", None)
    if not isinstance(app, Tidemill):
        raise ConfigError(
            "no Tidemill in this web application: make it with "
            "lifespan=tidemill.integrations.fastapi.lifespan(…)"
        )
    return app


@asynccontextmanager
async def _node(app: Tidemill) -> AsyncIterator[None]:
    node = Node(app)
    running = asyncio.create_task(node.run())
    running.add_done_callback(_report)
    try:
        yield
    finally:
        node.drain("the web application ends")
        await running


def _report(running: asyncio.Task[None]) -> None:
    """Tell at once of a node that failed: the web application goes on without it."""
    if not running.cancelled() and (error := running.exception()) is not None:
        logging.getLogger("tidemill").error("the node has ended: %s", error, exc_info=error)
