"""What a task weighs in its store: the memory of the server, or the bytes of the file."""

import workload
from arena import BATCH, calm, opened, size, store, wait_completed, worker
from figures import Figure
from workload import PARCEL


async def weights(kind: str, tasks: int) -> list[Figure]:
    """Bytes for each waiting task, and for each one that a worker has completed."""
    waiting = await _weight(kind, tasks, finished=False)
    finished = await _weight(kind, tasks, finished=True)
    unit = "bytes of file" if kind == "sqlite" else "bytes of memory"
    detail = f"{tasks:,} tasks, payload of 51 bytes"
    return [
        Figure("waiting task", waiting, unit, detail=detail),
        Figure("finished task", finished, unit, detail=f"{detail}, result of 19"),
    ]


async def _weight(kind: str, tasks: int, *, finished: bool) -> float:
    with store(kind) as url:
        async with opened(url):
            pass
        empty = size(url)
        async with opened(url) as engine:
            for start in range(0, tasks, BATCH):
                numbers = range(start, min(start + BATCH, tasks))
                await workload.parcel.enqueue_many([_arguments(number) for number in numbers])
            if finished:
                with worker(url):
                    await wait_completed(engine, PARCEL, tasks)
                    await calm(engine)
        return (size(url) - empty) / tasks


def _arguments(number: int) -> dict[str, object]:
    return {"user_id": 1_000_000 + number, "address": f"{number:07}@example.org"}
