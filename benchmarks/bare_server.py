"""The bare loop on a Valkey or Redis server, without Tidemill: what streams and scripts can do.

One script claims 200 tasks from a stream and writes that into their records, each runs as an
asyncio task with a timeout, one script settles the 200 and keeps records and results. The next
claim is under way while a batch runs, and so is the last settlement. Nothing else: no priorities,
fencing, indexes or counts. `python bare_server.py URL` runs what `enqueue` has put there.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from redis.asyncio import Redis
from workload import NOOP, noop

BATCH = 200
STREAM = "bare"
SCRIPTS = Path(__file__).parent / "bare_server"


class Claimed(NamedTuple):
    """A task as the claim answers it."""

    entry: bytes
    number: bytes
    payload: bytes


async def enqueue(url: str, tasks: int) -> None:
    """Put so many no-op tasks there."""
    async with Redis.from_url(url) as server:
        add = _script(server, "enqueue")
        for start in range(0, tasks, BATCH):
            await add([STREAM], [start, min(BATCH, tasks - start), NOOP, "{}"])


async def rate(url: str, tasks: int) -> float:
    """Tasks per second between the first start and the last end, by the records."""
    instants = []
    async with Redis.from_url(url) as server:
        for start in range(0, tasks, BATCH):
            pipe = server.pipeline(transaction=False)
            for number in range(start, min(start + BATCH, tasks)):
                pipe.hmget(f"{STREAM}:{number}", "started", "finished")
            instants += await pipe.execute()
    if len(instants) != tasks or any(None in each for each in instants):
        raise SystemExit(f"{tasks} enqueued, not all of them completed")
    first = min(int(started) for started, _ in instants)
    last = max(int(finished) for _, finished in instants)
    return tasks / ((last - first) / 1e6)


async def loop(url: str) -> None:
    """Run tasks until there are no more."""
    async with Redis.from_url(url) as server:
        claim, settle = _script(server, "claim"), _script(server, "settle")
        worker = f"bare-{os.getpid()}"
        settling: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        settling.set_result(None)
        claims = await claim([STREAM], [worker, BATCH])
        while claims:
            claiming = asyncio.ensure_future(claim([STREAM], [worker, BATCH]))
            words = await _run([Claimed._make(each) for each in claims])
            await settling
            settling = asyncio.ensure_future(settle([STREAM], words))
            claims = await claiming
        await settling


async def _run(claims: Sequence[Claimed]) -> list[bytes]:
    """Run a batch; answers the words of its settlement."""
    running = [asyncio.create_task(_one(claim.payload)) for claim in claims]
    results = [await each for each in running]
    pairs = zip(claims, results, strict=True)
    return [word for claim, result in pairs for word in (claim.entry, claim.number, result)]


async def _one(payload: bytes) -> bytes:
    async with asyncio.timeout(60):
        result = await noop.function(**json.loads(payload))
    return json.dumps(result).encode()


def _script(server: Redis, name: str) -> Any:
    return server.register_script((SCRIPTS / f"{name}.lua").read_text("utf-8"))


if __name__ == "__main__":
    uvloop.run(loop(sys.argv[1]))
