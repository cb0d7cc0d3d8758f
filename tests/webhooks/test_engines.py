"""Webhooks on real engines: by nodes in processes of their own, one of which is killed."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.outbound.receiver import receiving
from tests.servers.server import server
from tidemill import Settings, Tidemill, WebhookSettings, WorkerSettings
from tidemill.node.supervisor import encode_settings

SHOP = """
from tidemill import Settings, Tidemill, WebhookSettings

app = Tidemill(
    settings=Settings(webhooks=WebhookSettings(allow_networks=("127.0.0.0/8",), allow_http=True))
)


@app.task(name="work")
async def work(number: int) -> None: ...
"""
TASKS = 300
QUICK = WorkerSettings(lease=timedelta(seconds=3), heartbeat=timedelta(seconds=0.5))


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shop.db"
        return
    with server(tmp_path / "valkey", config={"appendonly": "yes"}) as made:
        yield made.url


async def test_every_task_is_told_once_although_a_node_is_killed_on_the_way(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    monkeypatch.setenv("TIDEMILL_URL", url)
    app = Tidemill(
        settings=Settings(
            webhooks=WebhookSettings(allow_networks=("127.0.0.0/8",), allow_http=True)
        )
    )

    @app.task(name="work")
    async def work(number: int) -> None: ...

    async with receiving() as receiver:
        await app.webhooks.create(receiver.url(), events=["task.enqueued"])
        nodes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tidemill.node", "shop:app", encode_settings(QUICK), "0"),
                cwd=tmp_path,
            )
            for _ in range(2)
        ]
        try:
            handles = await work.enqueue_many([{"number": number} for number in range(TASKS)])
            await receiver.until_count(20)
            nodes[0].send_signal(signal.SIGKILL)
            wanted = {handle.id for handle in handles}
            await receiver.until(lambda got: {task_of(each.body) for each in got} >= wanted, 90)
        finally:
            for node in nodes:
                if node.returncode is None:
                    node.terminate()
            await asyncio.gather(*(node.wait() for node in nodes))
        await app.close()
    ids = {task_of(each.body): each.headers["webhook-id"] for each in receiver.got}
    assert len(set(ids.values())) == TASKS
    told = Counter(each.headers["webhook-id"] for each in receiver.got)
    # What the killed node had sent, and not settled yet, is sent again with the same id.
    assert set(told) == set(ids.values())
    assert max(told.values()) <= 2


def task_of(body: bytes) -> str:
    """The task that a notice is about."""
    return str(json.loads(body)["data"]["task_id"])
