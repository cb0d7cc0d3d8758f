"""Canary secrets in payloads and results are found nowhere where tasks are shown or told of."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.conftest import serve
from tidemill import (
    Cancel,
    Context,
    Node,
    PayloadInvalid,
    Secret,
    State,
    TaskCancelledError,
    TaskFailedError,
    Tidemill,
)
from tidemill.cli import main

CANARY = "canary-of-the-mine"
NUMBER = 8275309


class Login(msgspec.Struct):
    user: str
    password: Secret[str]


APP = """
from tests.security.test_secrets_shown import application

app = application("sqlite:///shop.db")
"""


def application(url: str = "memory://") -> Tidemill:
    app = Tidemill(url)

    @app.task(name="leaky", max_attempts=1)
    async def leaky(ctx: Context, login: Login, pin: Secret[int]) -> None:
        ctx.logger.warning("login %s with %s", login.password, {"pin": pin})
        await ctx.progress(10, f"as {login.password}")
        raise ValueError(f"{login!r} was refused, {pin}")

    @app.task(name="leaky_thread", max_attempts=1)
    def leaky_thread(ctx: Context, login: Login) -> None:
        ctx.logger.info(f"with {login.password}")  # noqa: G004  # as people write it
        try:
            raise KeyError(login.password)
        except KeyError as error:
            raise RuntimeError("refused") from error

    @app.task(name="leaky_child", max_attempts=1, isolation="process")
    def leaky_child(ctx: Context, login: Login) -> None:
        ctx.logger.info("with %s", login.password)
        raise ValueError(login.password)

    @app.task(name="leaky_reason")
    async def leaky_reason(login: Login) -> Cancel:
        return Cancel(f"no {login.password}")

    @app.batch(name="leaky_batch", item=Login, size=5, within=0.01, max_attempts=1)
    async def leaky_batch(logins: list[Login]) -> None:
        raise ValueError(str(logins))

    @app.task(name="made")
    async def made(user: str, token: str = "") -> dict[str, Secret[str]]:
        return {user: CANARY}

    @app.task(name="named")
    async def named(user: str, api_key: str) -> dict[str, Any]:
        return {"user": user, "session_token": CANARY, "n": 2**60}

    @app.task(name="keeps", max_attempts=1)
    async def keeps(login: Login, note: str = "") -> str:
        if note != "again":
            raise ValueError("edit it")
        return str(login.password == CANARY)

    return app


LOGIN = {"user": "ann", "password": CANARY}


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@asynccontextmanager
async def working(app: Tidemill) -> AsyncIterator[None]:
    node = Node(app)
    running = asyncio.create_task(node.run())
    try:
        yield
    finally:
        node.drain()
        await running


@pytest.mark.parametrize(
    ("task_type", "payload"),
    [
        ("leaky", {"login": LOGIN, "pin": NUMBER}),
        ("leaky_thread", {"login": LOGIN}),
        ("leaky_reason", {"login": LOGIN}),
        ("leaky_batch", LOGIN),
    ],
)
async def test_what_a_run_says_of_itself_shows_no_declared_secret(
    task_type: str, payload: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = application()
    async with working(app):
        handle = await app.function(task_type).enqueue(**payload)
        with pytest.raises((TaskFailedError, TaskCancelledError)) as raised:
            await handle.result(20)
        task = await handle.get()
        feed = await (await app.engine()).feed("", 1000, timedelta())
    assert task.state.final
    shown = msgspec.structs.replace(task, payload=b"")
    for text in (str(shown), str(raised.value), str(feed), caplog.text):
        assert CANARY not in text
        assert str(NUMBER) not in text
    if task_type != "leaky_reason":
        assert "***" in str(task.error)
    await app.close()


async def test_results_and_payloads_are_masked_over_http() -> None:
    app = application()
    async with serve(app) as site, working(app):
        made = await site.submit("made", payload={"user": "ann", "token": CANARY})
        named = await site.submit("named", payload={"user": "ann", "api_key": CANARY})
        keyed = await site.client.post(
            "/api/v1/tasks",
            json={"task_type": "made", "payload": {"user": "ann", "token": CANARY}},
            headers={"Idempotency-Key": "one"},
        )
        texts = [keyed.text, str(made), str(named)]
        for task in (made, named):
            assert await app.handle(task["task_id"]).result(20)
            for path in ("", "/result", "/result?integers=text", "/executions", "/logs"):
                answer = await site.client.get(f"/api/v1/tasks/{task['task_id']}{path}")
                texts.append(answer.text)
        texts.append((await site.client.get("/api/v1/tasks")).text)
        assert [text for text in texts if CANARY in text] == []
        task = await site.ask("GET", f"/tasks/{named['task_id']}", 200)
        assert task["payload"] == {"user": "ann", "api_key": "***"}
        assert task["result"] == {"user": "ann", "session_token": "***", "n": 2**60}
        task = await site.ask("GET", f"/tasks/{made['task_id']}", 200)
        assert task["result"] == {"ann": "***"}
        kept = await (await app.engine()).documents("idempotency")
        assert kept
        assert CANARY not in str(kept)


async def test_an_edited_retry_keeps_the_secrets_that_it_shows_masked() -> None:
    app = application()
    async with serve(app) as site, working(app):
        first = await site.submit("keeps", payload={"login": LOGIN})
        with pytest.raises(TaskFailedError):
            await app.handle(first["task_id"]).result(20)
        task = await site.ask("GET", f"/tasks/{first['task_id']}", 200)
        assert task["payload"] == {"login": {"user": "ann", "password": "***"}}
        edited = {"payload": task["payload"] | {"note": "again"}}
        again = await site.ask("POST", f"/tasks/{first['task_id']}/retry", 201, edited)
        assert await app.handle(again["task_id"]).result(20) == "True"
        with pytest.raises(PayloadInvalid, match="write the secret itself"):
            await app.failed.retry_edited(
                first["task_id"], {"login": LOGIN, "note": "x", "token": "***"}
            )


async def test_a_schedule_that_is_read_changed_and_written_back_keeps_its_secrets() -> None:
    app = application()
    async with serve(app) as site:
        body = {
            "name": "nightly",
            "task_type": "keeps",
            "payload": {"login": LOGIN},
            "cron_expr": "0 3 * * *",
        }
        made = await site.ask("POST", "/scheduled-tasks", 201, body)
        assert CANARY not in str(made)
        payload = made["payload"] | {"note": "again"}
        await site.ask("PUT", "/scheduled-tasks/nightly", 200, {"payload": payload})
        task = (await app.schedules.get("nightly")).schedule.task
        assert app.task_types["keeps"].signature.load(task.payload) == {
            "login": Login("ann", CANARY),
            "note": "again",
        }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_of_secrets.py").write_text(APP, "utf-8")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delitem(sys.modules, "shop_of_secrets", raising=False)
    return tmp_path


@pytest.mark.parametrize("with_code", [True, False])
def test_the_command_line_masks_also_without_the_code(
    with_code: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepare() -> list[str]:
        app = application("sqlite:///shop.db")
        async with working(app):
            handles = [
                await app.function("made").enqueue(user="ann", token=CANARY),
                await app.function("leaky_child").enqueue(login=LOGIN),
                await app.function("named").enqueue(user="ann", api_key=CANARY),
            ]
            for handle in handles[::2]:
                await handle.result(20)
            with pytest.raises(TaskFailedError):
                await handles[1].result(20)
        await app.schedules.create("nightly", "keeps", payload={"login": LOGIN}, every=60)
        await app.close()
        return [handle.id for handle in handles]

    ids = asyncio.run(prepare())
    place = ["-A", "shop_of_secrets:app"] if with_code else ["--engine", "sqlite:///shop.db"]
    commands = [
        *(["task", "show", each] for each in ids),
        *(["task", "logs", each] for each in ids),
        ["task", "ls"],
        ["failed", "ls"],
        ["failed", "groups"],
        ["schedule", "ls"],
        ["schedule", "show", "nightly"],
    ]
    for command in commands:
        for form in ("table", "json"):
            code = main([*place, "-o", form, *command])
            said = capsys.readouterr()
            assert code == 0, said.err
            assert CANARY not in said.out + said.err, command


async def test_what_does_not_declare_secrets_is_run_as_ever() -> None:
    app = application()
    async with working(app):
        handle = await app.function("named").enqueue(user="ann", api_key="k")
        assert await handle.result(20) == {"user": "ann", "session_token": CANARY, "n": 2**60}
        task = await handle.get()
    assert task.state is State.COMPLETED
    assert task.headers == {}
    await app.close()
