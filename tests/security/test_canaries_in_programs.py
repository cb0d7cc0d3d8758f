"""Canaries through `tidemill up` and the command line: in logs, in what is printed, stored."""

import asyncio
import gzip
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.docs.pages import ROOT
from tests.security.canaries import OPEN, Canaries, application, canary, found
from tests.servers.server import Server, server
from tidemill import KeyMissing, Node, Settings, State
from tidemill.cli import main
from tidemill.events import TaskSnoozed
from tidemill.sealing import key_id

AT = re.compile(r"(http://[\d.:]+)/api/v1")
HERE = {"Sec-Fetch-Site": "same-origin"}
PATIENCE = 60.0


@dataclass
class Program:
    """A command in a process of its own, whose lines are read as they come."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def url(self) -> str:
        """Where it serves, once it says so."""
        with self.changed:
            assert self.changed.wait_for(lambda: AT.search(self.text), PATIENCE), self.text
        return AT.findall(self.text)[0]  # type: ignore[no-any-return]  # a text

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.text
        self._reading.join(PATIENCE)
        assert self.process.stdout
        self.process.stdout.close()


@dataclass(frozen=True)
class Place:
    """A folder with an application and a configuration that is full of secrets."""

    folder: Path
    url: str
    form: tuple[str, ...]
    stored: Callable[[], dict[str, bytes]]
    settings: dict[str, str]
    capture: pytest.CaptureFixture[str]

    def up(self, *words: str) -> Program:
        """`tidemill up`."""
        command = [sys.executable, "-m", "tidemill", "up", "--port", "0", *words]
        env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return Program(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )

    def say(self, *words: str) -> str:
        """What a command prints, whatever it thinks of it."""
        self.capture.readouterr()
        main(list(words))
        said = self.capture.readouterr()
        return said.out + said.err

    def ask(self, *words: str) -> Any:
        """What a command answers in JSON."""
        self.capture.readouterr()
        assert main([*words, "-o", "json"]) == 0
        return json.loads(self.capture.readouterr().out)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password."""
    config = {"requirepass": canary("requirepass"), "rdbcompression": "no"}
    with server(tmp_path_factory.mktemp("valkey"), config=config) as made:
        yield made


@pytest.fixture(params=["sqlite", "valkey"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Place]:
    for name in [each for each in os.environ if each.startswith("TIDEMILL_")]:
        monkeypatch.delenv(name)
    for name in ("TIDEMILL_URL", "TIDEMILL_SECURITY__ENCRYPTION_KEY"):
        monkeypatch.setenv(name, "")  # so that what a command sets is undone
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    settings = {each: canary(each) for each in ("smtp", "dsn", "apikey", "redis")}
    settings |= {"encryption": secrets.token_hex(32), "jwt": canary("jwtjwtjwtjwt")}
    if request.param == "sqlite":
        url, form = f"sqlite:///{tmp_path}/mine.db", ("--log-format", "json")

        def stored() -> dict[str, bytes]:
            files = [each for each in tmp_path.glob("mine.db*") if each.is_file()]
            return {each.name: each.read_bytes() for each in files}
    else:
        running: Server = request.getfixturevalue("valkey")
        running.command("FLUSHALL")
        url, form = running.url, ("--log-format", "console")
        settings["engine"] = url.partition("@")[0].rpartition(":")[2]

        def stored() -> dict[str, bytes]:
            with redis.Redis.from_url(url) as client:
                return {
                    repr(key): key + bytes(client.dump(key) or b"") for key in client.scan_iter()
                }

    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]  # takes connections and never says anything
        configuration = {
            "app": "mine:app",
            "engine": {"url": url},
            "server": {"jwt": {"secret": settings["jwt"]}},
            "database": {"dsn": f"postgresql://app:{settings['dsn']}@127.0.0.1/app"},
            "redis": {"addr": "127.0.0.1:1", "password": settings["redis"]},
            "ai": {"providers": {"some": {"api_key": settings["apikey"]}}},
            "security": {"encryption_key": settings["encryption"]},
            "webhooks": {"allow_networks": ["127.0.0.0/8"], "allow_http": True},
            "metrics": {"port": 0},
            "alerts": {
                "every": 0.2,
                "rules": {"failed_tasks": {"alarm": 0}},
                "email": {
                    "host": "127.0.0.1",
                    "port": nobody,
                    "username": "ops",
                    "password": settings["smtp"],
                    "to": ["ops@example.org"],
                },
            },
        }
        (tmp_path / "tidemill.yaml").write_text(json.dumps(configuration), "utf-8")
        code = "from tests.security.canaries import application\napp = application('memory://')\n"
        (tmp_path / "mine.py").write_text(code, "utf-8")
        yield Place(tmp_path, url, form, stored, settings, capsys)


TYPES = ("raises", "raises_on_a_thread", "raises_in_a_child", "gives", "gives_by_name")
READS = (
    *("task ls", "failed ls", "failed groups", "schedule ls", "schedule show nightly", "queue ls"),
    *("queue show mine", "queue stats", "workflow ls", "webhook ls", "key ls", "config show"),
    *("doctor", "status", "stats", "inspect active", "inspect scheduled", "inspect reserved"),
    *("inspect stats", "inspect workers", "inspect registered", "alert ls", "alert silences"),
    *("audit", "task show 00000000-0000-7000-8000-000000000000 --debug"),
)


def submitted(client: httpx.Client, payload: dict[str, Any]) -> Iterator[str]:
    """Tasks of all types that have ended."""
    for task_type in TYPES:
        answer = client.post(
            "/api/v1/tasks",
            json={"task_type": task_type, "payload": payload},
            headers={"Prefer": "wait=50", "Idempotency-Key": task_type},
        )
        task = answer.json()
        assert task["status"] in {"completed", "failed"}, answer.text
        yield task["task_id"]


def test_canaries_are_found_in_no_log_no_output_no_store_and_no_backup(place: Place) -> None:
    canaries, printed, hidden = Canaries(), {}, dict(place.settings)
    up = place.up("--log-level", "debug", *place.form)
    try:
        base = up.url()
        made = place.ask("key", "create", "tests", *"--scope admin --scope payloads".split())
        hidden["key"] = made["key"].split("_", 2)[2]
        token = place.say("key", "token", *"--sub ana --scope view --user ana".split()).strip()
        hidden["token"] = token.rpartition(".")[2]
        path = canary("path")
        hook = place.ask("webhook", "create", f"http://127.0.0.1:1/{path}")
        hidden["webhook"] = hook["secret"].removeprefix("whsec_")
        payload = json.dumps(canaries.payload)
        printed["schedule create"] = place.say(
            *"schedule create nightly raises --every 3600 -p".split(), payload
        )
        with httpx.Client(base_url=base, headers={"X-API-Key": made["key"]}, timeout=60) as client:
            ids = list(submitted(client, canaries.payload))
            client.get("/api/v1/me", headers={"X-API-Key": "", "Authorization": f"Bearer {token}"})
        link = place.ask("login")["url"].partition("token=")[2]
        hidden["link"] = link
        with httpx.Client(base_url=base) as browser:
            browser.get("/login", params={"token": link})
            done = browser.post("/login", data={"token": link}, headers=HERE)
            assert done.status_code == 303
            hidden["session"] = done.headers["set-cookie"].partition("=")[2].partition(";")[0]
            printed["/"] = browser.get("/").text
        for task_type in TYPES:
            printed[f"enqueue {task_type}"] = place.say(
                *f"enqueue {task_type} --wait --timeout 50 -p".split(), payload
            )
        printed["enqueue refused"] = place.say("enqueue", "raises", "-p", payload[:-1] + ',"x":1}')
        printed["edit"] = place.say("failed", "edit", ids[0], "-p", payload)
        commands = [*READS, *(f"task {each} {one}" for one in ids for each in ("show", "logs"))]
        for command in commands:
            for how in (("-o", "table"), ("-o", "json", "--engine", place.url)):
                printed[f"{command} {' '.join(how[:2])}"] = place.say(*how, *command.split())
        printed["backup"] = place.say("backup", "saved.gz", "-o", "json")
        held = place.stored()
    finally:
        up.stop()
    held |= place.stored() | {"backup": gzip.decompress(Path("saved.gz").read_bytes())}
    assert found({"log": up.text}, [*canaries.everything, *hidden.values(), path]) == []
    assert OPEN in up.text
    links = up.text.count("/login?token=")
    assert links == (1 if "console" in place.form else 0), "a link is for people, not for lines"
    assert found(printed, [*canaries.hidden, *hidden.values()]) == []
    assert any(OPEN in printed[f"task show {each} -o json"] for each in ids)
    assert found({"audit": printed["audit -o json"]}, [*canaries.everything, path]) == []
    assert "create" in printed["audit -o json"]
    # Encrypted, not even what everybody may read who may read the task.
    assert found(held, [*canaries.everything, *hidden.values(), OPEN]) == []
    assert found(held, ["raises_on_a_thread"]), "the search finds what is not encrypted"


def test_a_rotated_key_reads_old_tasks_and_a_removed_one_is_named_and_loses_none(
    place: Place,
) -> None:
    first, second = secrets.token_hex(32), secrets.token_hex(32)
    payload = Canaries().payload

    def opened(key: str, *former: str) -> Any:
        return application(place.url, Settings(encryption_key=key, former_encryption_keys=former))

    async def story() -> None:
        app = opened(first)
        old = (await app.function("gives").enqueue(**payload)).id
        await worked(app, old)
        waiting = (await app.function("gives_by_name").enqueue(**payload)).id
        await app.close()

        app = opened(second)  # the first key is gone
        with pytest.raises(KeyMissing, match=key_id(bytes.fromhex(first))):
            await app.handle(old).result(PATIENCE)
        snoozed = asyncio.Event()
        app.on(TaskSnoozed)(lambda _: snoozed.set())
        node = Node(app)
        running = asyncio.create_task(node.run())
        async with asyncio.timeout(PATIENCE):
            await snoozed.wait()
        node.drain()
        await running
        task = await app.handle(waiting).get()
        assert (task.state, task.attempt) == (State.SCHEDULED, 0)
        assert key_id(bytes.fromhex(first)) in (task.reason or "")
        await app.close()

        app = opened(second, first)  # rotated as the documents say
        assert await app.handle(old).result(PATIENCE) == {
            "made": payload["account"]["login"]["password"]
        }
        # It is due within a minute; an operator need not wait.
        assert (await app.handle(waiting).get()).payload is not None
        await app.close()

    async def worked(app: Any, task_id: str) -> None:
        node = Node(app)
        running = asyncio.create_task(node.run())
        await app.handle(task_id).result(PATIENCE)
        node.drain()
        await running

    asyncio.run(story())
