"""Whatever becomes of a campaign, nothing that it started is left."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.chaos.facts import aside
from tests.chaos.workers import ROOT

CONDUCTOR = """
import os, signal, sys
from pathlib import Path
from tests.chaos.app import Plan
from tests.chaos.workers import Crew

folder = Path(sys.argv[1])
plan = Plan(url=f"sqlite:///{folder}/tasks.db", ledger=f"{folder}/ledger", conductor=os.getpid())
crew = Crew(folder, plan)
pid = crew.start()
while not crew.is_ready(pid):
    crew.check()
print(pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends them")
def test_workers_end_with_a_campaign_that_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CONDUCTOR, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as campaign:
        assert campaign.stdout is not None
        worker = psutil.Process(int(campaign.stdout.readline()))
        family = [worker, *worker.children(recursive=True)]
        campaign.kill()
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left


async def test_a_server_that_is_being_started_is_there_before_its_campaign_is_over() -> None:
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def start() -> None:
        begun.set()
        go_on.wait()
        over.set()

    work = asyncio.create_task(aside(start))
    await asyncio.to_thread(begun.wait)
    work.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not work.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert over.is_set()
