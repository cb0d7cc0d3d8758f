"""A service that others depend on, with a limited capacity: `python dependency.py SPECIFICATION`.

It answers each line with `yes` or `no`, and prints its port when it listens.
"""

import asyncio
import random
import sys
from contextlib import suppress

import msgspec
import uvloop


class Dependency(msgspec.Struct, frozen=True):
    """It works on `capacity` requests at once, each for `seconds`; what comes beyond waits.

    One that `breaks` lets nothing wait: the more come beyond its capacity, the slower it gets, and
    the more of them it refuses.
    """

    capacity: int
    seconds: float
    breaks: bool = False


async def serve(wanted: Dependency) -> None:
    """Serve until killed."""
    places = asyncio.Semaphore(wanted.capacity)
    inside = 0

    async def answered() -> bytes:
        nonlocal inside
        if not wanted.breaks:
            async with places:
                await asyncio.sleep(wanted.seconds)
            return b"yes\n"
        inside += 1
        beyond = max(0.0, inside / wanted.capacity - 1)
        await asyncio.sleep(wanted.seconds * (1 + 3 * beyond))
        inside -= 1
        return b"no\n" if random.random() < beyond else b"yes\n"

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):  # a run is over
            while await reader.readline():
                writer.write(await answered())

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(msgspec.json.decode(sys.argv[1], type=Dependency)))
