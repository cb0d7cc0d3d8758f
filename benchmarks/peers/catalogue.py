"""The peers: how each is run at its fastest, and what it leaves out to be that fast."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

import msgspec
from peers.environments import PEERS, pinned

from tidemill import __version__

Words = Sequence[str]
Work = Callable[[int, int], list[Words]]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A system to measure, and how.

    `home` is where it is installed (peers/environments.py). `enqueuer` is followed by `enqueue N`
    or `trickle N` (peers/program.py). `work` gives the commands for so many worker processes of
    a width, which is also in the variable `WIDTH`; of `widths` the fastest is taken. `query` is
    added to the store's URL. `lead` is how many times its rate ours is to reach. `needs` is a
    program that the machine must have.
    """

    name: str
    version: str
    home: str
    enqueuer: Words
    work: Work
    widths: tuple[int, ...] = (1,)
    width: str = ""
    note: str
    query: str = ""
    lead: float | None = None
    needs: str = ""

    @property
    def ours(self) -> bool:
        """Whether this is the system that the others are compared with."""
        return self.name.startswith("Tidemill")

    @property
    def absent(self) -> str:
        """Why it cannot be measured on this machine; empty when it can."""
        there = not self.needs or shutil.which(self.needs)
        return "" if there else f"`{self.needs}` is not installed here"


def peers_on(kind: str) -> list[Peer]:
    """What runs on a kind of store, ours first."""
    if kind == "sqlite":
        return [
            _ours("Tidemill"),
            _ours("Tidemill strict", query="?durability=strict"),
            _huey("Huey", lead=5),
            _huey("Huey fsync=False", query="?fsync=off", lead=None),
        ]
    dramatiq = [_dramatiq("Dramatiq"), _dramatiq("Dramatiq prefetching", prefetch=1_000)]
    python = [_arq(), _celery(), *dramatiq, _huey("Huey", lead=5), *_rq(), _saq(), _taskiq()]
    return [_ours("Tidemill"), *python, _bullmq(), _sidekiq()]


def _ours(name: str, query: str = "") -> Peer:
    words = (sys.executable, "-m", "tidemill", "worker", "-A", "workload:app", "--processes")
    return Peer(
        name=name,
        version=__version__,
        home="",
        enqueuer=_enqueuer("tidemill", sys.executable),
        work=lambda processes, _: [[*words, str(processes)]],
        note="default settings",
        query=query,
    )


def _enqueuer(module: str, python: str = "python") -> Words:
    return (python, "-m", "peers.program", module)


def _celery() -> Peer:
    words = "celery -A peers.celery worker --pool prefork --loglevel WARNING"
    lean = "--without-gossip --without-mingle --without-heartbeat"
    return Peer(
        name="Celery",
        version=pinned("celery", "bench"),
        home="bench",
        enqueuer=_enqueuer("celery"),
        work=lambda processes, width: [
            f"{words} --concurrency {processes} --prefetch-multiplier {width} {lean}".split()
        ],
        widths=(4, 32, 128),
        width="prefetched by a process",
        note="a killed worker loses what it runs; no results",
        lead=25,
    )


def _dramatiq(name: str, prefetch: int = 0) -> Peer:
    fetching = f"env dramatiq_queue_prefetch={prefetch}".split()  # 0: twice its threads
    return Peer(
        name=name,
        version=pinned("dramatiq", "bench"),
        home="bench",
        enqueuer=_enqueuer("dramatiq"),
        work=lambda processes, width: [
            [*fetching, *f"dramatiq peers.dramatiq -p {processes} -t {width}".split()]
        ],
        widths=(2, 8, 32),
        width="threads",
        note=f"{prefetch:,} prefetched; no results" if prefetch else "no results",
        lead=5,
    )


def _taskiq() -> Peer:
    words = "taskiq worker peers.taskiq:broker --log-level WARNING --ack-type when_executed"
    wide = "--max-async-tasks {0} --max-prefetch {0}"
    return Peer(
        name="Taskiq Streams",
        version=pinned("taskiq", "bench"),
        home="bench",
        enqueuer=_enqueuer("taskiq"),
        work=lambda processes, width: [
            f"{words} --workers {processes} {wide.format(width)}".split()
        ],
        widths=(10, 100, 500),
        width="at once, and as many prefetched",
        note="no results; its stream grows for ever",
        lead=5,
    )


def _arq() -> Peer:
    return Peer(
        name="arq",
        version=pinned("arq", "bench-arq"),
        home="bench-arq",
        enqueuer=_enqueuer("arq"),
        work=lambda processes, _: ["arq peers.arq.WorkerSettings".split()] * processes,
        widths=(10, 50, 200),
        width="at once",
        note="polls every 5 ms; no results",
        lead=5,
    )


def _saq() -> Peer:
    return Peer(
        name="SAQ",
        version=pinned("saq", "bench"),
        home="bench",
        enqueuer=_enqueuer("saq"),
        work=lambda processes, _: [f"saq peers.saq.settings --quiet --workers {processes}".split()],
        widths=(5, 20, 100),
        width="at once",
        note="no results",
        lead=5,
    )


def _rq() -> list[Peer]:
    def with_class(name: str, kind: str, note: str) -> Peer:
        words = f"rq worker --quiet --config peers.rq --worker-class {kind}".split()
        return Peer(
            name=name,
            version=pinned("rq", "bench"),
            home="bench",
            enqueuer=_enqueuer("rq"),
            work=lambda processes, _: [words] * processes,
            note=note,
            lead=5,
        )

    return [
        with_class("RQ", "rq.Worker", "as installed, forks for every task; no results"),
        with_class(
            "RQ SimpleWorker", "rq.SimpleWorker", "tasks run in the worker itself; no results"
        ),
    ]


def _huey(name: str, lead: float | None, query: str = "") -> Peer:
    words = "huey_consumer peers.huey.queue --quiet --no-periodic --delay 0.001 --workers"
    return Peer(
        name=name,
        version=pinned("huey", "bench"),
        home="bench",
        enqueuer=_enqueuer("huey"),
        work=lambda processes, width: [f"{words} {width}".split()] * processes,
        widths=(1, 2, 4),
        width="threads",
        note="a killed worker loses what it runs; no results",
        query=query,
        lead=lead,
    )


def _bullmq() -> Peer:
    program = PEERS / "bullmq" / "peer.cjs"
    wanted = json.loads((program.parent / "package.json").read_text("utf-8"))["dependencies"]
    return Peer(
        name="BullMQ",
        version=wanted["bullmq"],
        home="bullmq",
        enqueuer=("node", str(program)),
        work=lambda processes, width: [["node", str(program), "work", str(width)]] * processes,
        widths=(20, 100, 500),
        width="at once",
        note="finished tasks removed",
        lead=1,
        needs="npm",
    )


def _sidekiq() -> Peer:
    program = str(PEERS / "sidekiq" / "peer.rb")
    return Peer(
        name="Sidekiq",
        version=_sidekiq_version(),
        home="",
        enqueuer=("ruby", program),
        work=lambda processes, width: (
            [["sidekiq", "--require", program, "--concurrency", str(width)]] * processes
        ),
        widths=(5, 10, 25),
        width="threads",
        note="a killed worker loses what it runs; no results",
        lead=1,
        needs="sidekiq",
    )


def _sidekiq_version() -> str:
    if not shutil.which("sidekiq"):
        return ""
    said = subprocess.run(["sidekiq", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[-1]
