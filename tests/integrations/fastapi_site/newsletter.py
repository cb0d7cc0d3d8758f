"""A newsletter that sends its letters later: in FastAPI, and in plain Starlette."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tidemill import Access, Scope, Tenant, Tidemill
from tidemill.api import create_api
from tidemill.integrations.fastapi import Lifespan, get_tidemill, lifespan

mill = Tidemill(f"sqlite:///{os.environ['SITE_FOLDER']}/tasks.db")


@mill.task(name="letter")
async def letter(to: str) -> str:
    return f"sent to {to}"


def office_hours(*, waits: bool) -> Lifespan:
    """What the site did before it knew Tidemill; at its end it sends one more letter."""

    @asynccontextmanager
    async def opened(_: object) -> AsyncIterator[dict[str, Any]]:
        yield {"greeting": "good morning"}
        last = await letter.enqueue("everybody")
        if waits:
            await last.result(timeout=20)

    return opened


Mill = Annotated[Tidemill, Depends(get_tidemill)]


async def post_letter(request: Request, to: str) -> dict[str, str]:
    handle = await letter.options(user_id=request.headers.get("x-user")).enqueue(to)
    return {"id": handle.id, "greeting": request.state.greeting}


async def read_letter(task_id: str, mill: Mill) -> dict[str, Any]:
    task = await mill.handle(task_id).get()
    return {"state": task.state, "result": mill.decode_result(task)}


async def visitor(scope: Mapping[str, Any]) -> Access | None:
    """The site's own users: a header stands for its session."""
    user = dict(scope["headers"]).get(b"x-user", b"").decode()
    if not user:
        return None
    scopes = frozenset({Scope.VIEW, Scope.PAYLOADS})
    return Access(who=user, subject=user, scopes=scopes, tenant=Tenant(user_id=user))


def fastapi(*, run_node: bool) -> FastAPI:
    inner = office_hours(waits=run_node)
    made = FastAPI(lifespan=lifespan(mill, inner=inner, run_node=run_node))
    made.post("/letters")(post_letter)
    made.get("/letters/{task_id}")(read_letter)
    made.mount("/background", create_api(mill, visitor))
    return made


async def post(request: Request) -> JSONResponse:
    return JSONResponse(await post_letter(request, request.query_params["to"]))


async def read(request: Request) -> JSONResponse:
    mill = await get_tidemill(request)
    return JSONResponse(await read_letter(request.path_params["task_id"], mill))


site = fastapi(run_node=False)
with_node = fastapi(run_node=True)
plain = Starlette(
    lifespan=lifespan(mill, inner=office_hours(waits=False)),
    routes=[
        Route("/letters", post, methods=["POST"]),
        Route("/letters/{task_id}", read),
        Mount("/background", create_api(mill, visitor)),
    ],
)
