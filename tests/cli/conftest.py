"""An application in a folder of its own, and the command line as a user runs it there."""

import asyncio
import contextlib
import dataclasses
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from tests.servers.cluster import cluster
from tests.servers.server import Server, server
from tidemill.cli import main
from tidemill.engine import ClaimRequest, Engine
from tidemill.engines import open_engine
from tidemill.ids import IdMaker
from tidemill.outcome import Outcome, Settlement
from tidemill.task import NewTask
from tidemill.testing.builders import new_task

T = TypeVar("T")
APP = "shop:app"
PASSWORD = "open-sesame"
SHOP = """
from tidemill import Context, Tidemill

app = Tidemill("sqlite:///shop.db")
not_an_app = 5


@app.task(name="add", queue="sums")
async def add(a: int, b: int = 1) -> int:
    return a + b


@app.task(name="boom", max_attempts=1)
async def boom(text: str) -> None:
    raise ValueError(text)


@app.task(name="talk")
async def talk(ctx: Context) -> None:
    ctx.logger.info("hello %s", "you")
    await ctx.progress(50, "half way")


@app.task(name="index", unique="index:{page}")
async def index(page: str) -> None: ...


@app.task(name="family", queue="families")
async def family(ctx: Context, members: int) -> int:
    return sum(await ctx.gather(*(add.call(a=number) for number in range(members))))
"""


@dataclasses.dataclass(frozen=True)
class Said:
    """What one run of the command line answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


@contextlib.contextmanager
def own_environment() -> Iterator[None]:
    """What a command says to the processes that it starts is of no other command."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclasses.dataclass(frozen=True)
class Shop:
    """The folder with the application `shop:app`, and the URL of its engine."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    url: str
    started: list["subprocess.Popen[str]"] = dataclasses.field(default_factory=list)
    ids: IdMaker = dataclasses.field(default_factory=IdMaker)

    def call(self, *words: str) -> Said:
        """Run a command on the engine in this process."""
        self.capture.readouterr()
        with own_environment():
            code = main(["--engine", self.url, *words])
        return Said(code, *self.capture.readouterr())

    def here(self, *words: str) -> Said:
        """Run a command in this process, which imports the application anew."""
        self.capture.readouterr()
        importlib.invalidate_caches()
        sys.modules.pop("shop", None)
        with own_environment():
            code = main(list(words))
        return Said(code, *self.capture.readouterr())

    def program(self, *words: str, env: dict[str, str] | None = None, text: str = "") -> Said:
        """Run a command in a process of its own, in the folder."""
        done = subprocess.run(
            [sys.executable, "-m", "tidemill", *words],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, until: str | None = None) -> "subprocess.Popen[str]":
        """Start a command; return when it says `until` on standard error, if that is given."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tidemill", *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        if until is not None:
            self.hear(process, until)
        return process

    def hear(self, process: "subprocess.Popen[str]", text: str) -> str:
        """Return when a line of a started command contains a text: what it said until then."""
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if text in line:
                return said
        raise AssertionError(f"it ended without saying {text!r}: {said}")

    def stop(self, process: "subprocess.Popen[str]", how: int = signal.SIGTERM) -> Said:
        """Ask a started command to end; its exit code and what it said after all that was heard."""
        process.send_signal(how)
        assert process.stdout is not None
        assert process.stderr is not None
        err, out = process.stderr.read(), process.stdout.read()
        return Said(process.wait(), out, err)

    def on_engine(self, work: Callable[[Engine], Awaitable[T]]) -> T:
        """Do something with the engine directly."""

        async def run() -> T:
            engine = open_engine(self.url).session()
            await engine.migrate()
            try:
                return await work(engine)
            finally:
                await engine.close()

        return asyncio.run(run())

    def until(self, words: Sequence[str], holds: Callable[[Said], bool]) -> Said:
        """Repeat a command until what it says is so."""
        while not holds(said := self.call(*words)):
            pass
        return said

    def new(self, **options: Any) -> NewTask:
        """A plain task; of two, the one made later has the higher id."""
        return new_task(self.ids.make(), **options)

    def enqueue(self, *tasks: NewTask) -> list[str]:
        """Put tasks into the engine; answers their ids."""
        self.on_engine(lambda engine: engine.enqueue(tasks))
        return [task.id for task in tasks]

    def settle(self, task_id: str, task_type: str, outcome: Outcome) -> None:
        """Claim the only task of a type, and settle it."""

        async def run(engine: Engine) -> None:
            request = ClaimRequest(
                claim_id=self.ids.make(),
                worker="w1",
                queues=None,
                task_types=frozenset({task_type}),
                limit=1,
            )
            (claim,) = await engine.claim(request)
            assert claim.ref.task_id == task_id
            await engine.settle([Settlement(claim.ref, outcome)])

        self.on_engine(run)

    def end(self, *tasks: NewTask, outcome: Outcome) -> list[str]:
        """Put tasks into the engine, claim them and settle them all with one outcome."""

        async def run(engine: Engine) -> None:
            await engine.enqueue(tasks)
            request = ClaimRequest(
                claim_id=tasks[0].id,
                worker="w1",
                queues=None,
                task_types=frozenset(task.task_type for task in tasks),
                limit=len(tasks),
            )
            claims = await engine.claim(request)
            assert len(claims) == len(tasks)
            await engine.settle([Settlement(claim.ref, outcome) for claim in claims])

        self.on_engine(run)
        return [task.id for task in tasks]


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shop]:
    """A folder with an application; whatever a test started there has ended afterwards."""
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    monkeypatch.chdir(tmp_path)
    for variable in ("TIDEMILL_APP", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    # Set first, so that what the command line sets for its children is undone too.
    monkeypatch.setenv("TIDEMILL_URL", "")
    monkeypatch.delenv("TIDEMILL_URL")
    made = Shop(tmp_path, capsys, f"sqlite:///{tmp_path / 'shop.db'}")
    yield made
    for process in made.started:
        with process:  # waits for it and closes its pipes
            process.kill()


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey server that lets nobody in without the password."""
    config = {"appendonly": "yes", "requirepass": PASSWORD}
    with server(tmp_path_factory.mktemp("single"), config=config) as made:
        yield made


@pytest.fixture(scope="session")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """The three nodes of a cluster, which let nobody in without the password."""
    config = {"appendonly": "yes", "requirepass": PASSWORD}
    with cluster(tmp_path_factory.mktemp("spread"), config=config) as made:
        yield made


@pytest.fixture(params=["single", "cluster"])
def served(request: pytest.FixtureRequest, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The folder with an application whose engine is a server, or a cluster, that is empty."""
    if request.param == "single":
        servers = [request.getfixturevalue("single")]
        url = servers[0].url
    else:
        servers = request.getfixturevalue("spread")
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in servers)
        url = f"redis+cluster://:{PASSWORD}@{hosts}"
    for each in servers:
        each.command("FLUSHALL")
    monkeypatch.setenv("TIDEMILL_URL", url)
    return dataclasses.replace(shop, url=url)
