"""FastAPI and Starlette: enqueueing in requests, reading results, and the end of the server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integrations.conftest import Site, eventually
from tidemill import ConfigError, Tidemill
from tidemill.engine import TaskQuery
from tidemill.errors import EngineError

pytest.importorskip("starlette")

from starlette.requests import HTTPConnection

from tidemill.integrations.fastapi import get_tidemill, lifespan


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site("fastapi_site", tmp_path, stack)


def send_and_read(client: httpx.Client) -> Any:
    """What became of a letter that a request enqueued."""
    posted = client.post("/letters", params={"to": "ada"}).json()
    assert posted["greeting"] == "good morning"
    return eventually(
        lambda: client.get(f"/letters/{posted['id']}").json(),
        lambda answer: answer["state"] == "completed",
    )


@pytest.mark.parametrize("name", ["site", "plain"])
def test_what_a_request_enqueues_a_worker_runs(site: Site, name: str) -> None:
    client = site.serve("-m", "uvicorn", f"newsletter:{name}", "--port", "PORT")
    site.start("-m", "tidemill", "-A", "newsletter:mill", "worker", until_told="is ready")
    assert send_and_read(client)["result"] == "sent to ada"


def test_a_web_process_with_a_node_runs_its_tasks_itself(site: Site) -> None:
    client = site.serve("-m", "uvicorn", "newsletter:with_node", "--port", "PORT")
    assert send_and_read(client)["result"] == "sent to ada"


@pytest.mark.parametrize("name", ["site", "plain"])
def test_the_users_of_the_site_see_their_own_tasks_in_the_mounted_interface(
    site: Site, name: str
) -> None:
    client = site.serve("-m", "uvicorn", f"newsletter:{name}", "--port", "PORT")
    ana = {"X-User": "ana"}
    sent = client.post("/letters", params={"to": "ada"}, headers=ana).json()["id"]
    path = f"/background/api/v1/tasks/{sent}"
    seen = client.get(path, headers=ana)
    assert (seen.status_code, seen.json()["payload"]) == (200, {"to": "ada"})
    assert client.get(path, headers={"X-User": "bob"}).status_code == 404
    assert client.get(path).status_code == 401
    assert client.delete(path, headers=ana).status_code == 403


@pytest.mark.parametrize(("name", "state"), [("site", "pending"), ("with_node", "completed")])
async def test_the_site_s_own_lifespan_ends_before_tidemill_does(
    site: Site, name: str, state: str
) -> None:
    client = site.serve("-m", "uvicorn", f"newsletter:{name}", "--port", "PORT")
    if state == "completed":
        send_and_read(client)
    else:
        client.post("/letters", params={"to": "ada"})
    site.programs[-1].stop()
    assert "Application shutdown complete" in site.programs[-1].log.read_text()
    mill = Tidemill(site.url)
    found = await (await mill.engine()).find(TaskQuery(task_types=frozenset({"letter"})))
    await mill.close()
    assert [task.state for task in found.tasks] == [state, state]


async def test_an_engine_that_cannot_be_opened_stops_the_start() -> None:
    mill = Tidemill("sqlite:////no/such/folder/tasks.db")
    with pytest.raises(EngineError):
        async with lifespan(mill)(None):
            raise AssertionError


def open_mailbox() -> str:
    raise ConfigError("no mailbox here")


async def test_a_node_that_fails_is_told_of_while_the_site_goes_on() -> None:
    mill = Tidemill("memory://")

    @mill.resource
    async def mailbox() -> AsyncIterator[str]:
        yield open_mailbox()

    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    listener = logging.Handler()
    listener.emit = lambda record: told.set_result(record.getMessage())  # type: ignore[method-assign]  # a listener of one test
    log = logging.getLogger("tidemill")
    log.addHandler(listener)
    living = lifespan(mill, run_node=True)(None)
    try:
        assert await living.__aenter__() == {"tidemill": mill}
        assert (await asyncio.wait_for(told, 30)).startswith("the node has ended: no mailbox here")
        with pytest.raises(ConfigError):
            await living.__aexit__(None, None, None)
    finally:
        log.removeHandler(listener)


async def test_a_request_without_the_lifespan_is_told_what_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"lifespan=tidemill\.integrations\.fastapi\.lifespan"):
        await get_tidemill(HTTPConnection({"type": "http"}))
