"""Other Python task queues on the same kind of store, in the same run.

On SQLite that is Huey: of the queues with an embedded store it was the fastest one tried. It runs
with the best number of consumer threads out of three, twice: as installed (`synchronous=FULL`, like
our level `strict`), and with `fsync=False` (`OFF`, less than any level of ours; our default,
`standard`, is `NORMAL`). In both it takes a task off the queue before running it, so that a killed
consumer loses what it holds; Tidemill records every claim, every attempt and every result.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from arena import HERE, store
from figures import Figure
from throughput import drain

THREADS = (1, 2, 4)
LEAD = 5
"""How many times the best peer is to be reached."""

HUEY = """
import sys, threading, time
from huey import SqliteHuey
file, tasks, threads, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
queue = SqliteHuey(filename=file, **({} if how == "installed" else {"fsync": False}))
done, began, lock, ended = 0, 0.0, threading.Lock(), threading.Event()

@queue.task()
def noop(n):
    global done, began
    with lock:
        began = began or time.perf_counter()
        done += 1
        if done == tasks:
            print(tasks / (time.perf_counter() - began), flush=True)
            ended.set()

for n in range(tasks):
    noop(n)
consumer = queue.create_consumer(workers=threads, periodic=False, initial_delay=0.001)
consumer.start()
ended.wait(120)
consumer.stop()
"""

PAIRS = (
    ("standard", "installed", LEAD),
    ("strict", "installed", None),
    ("standard", "fsync=False", None),
)


async def peers(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """A worker and the best peer by turns, each on a new store."""
    settings = ("installed", "fsync=False")
    best = {how: max(THREADS, key=lambda n: _huey(tasks // 4, n, how)) for how in settings}
    theirs: dict[str, list[float]] = {how: [] for how in settings}
    ours: dict[str, list[float]] = {"standard": [], "strict": []}
    for _ in range(rounds):
        for how, rates in theirs.items():
            rates.append(_huey(tasks, best[how], how))
        for level, rates in ours.items():
            with store(kind) as url:
                rates.append((await drain(f"{url}?durability={level}", tasks)).rate)
    detail = f"median of {rounds} rounds by turns, {tasks:,} no-op tasks each"
    return [
        *(
            Figure(f"Huey, {how}, {best[how]} threads", median(rates), "tasks/s", detail=detail)
            for how, rates in theirs.items()
        ),
        *(
            Figure(f"worker, {level}", median(rates), "tasks/s", detail=detail)
            for level, rates in ours.items()
        ),
        *(
            Figure(f"worker, {level}, to Huey, {how}", _lead(ours[level], theirs[how]), "×", budget)
            for level, how, budget in PAIRS
        ),
    ]


def _lead(ours: list[float], theirs: list[float]) -> float:
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def _huey(tasks: int, threads: int, how: str) -> float:
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        file = str(Path(folder) / "huey.db")
        words = [sys.executable, "-c", HUEY, file, str(tasks), str(threads), how]
        said = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=True)
    return float(said.stdout.split()[0])
