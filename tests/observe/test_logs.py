"""Log lines: everything goes one way, says where it belongs, and is kept with its task."""

import asyncio
import io
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog

from tests.cli.conftest import APP, Shop, shop
from tests.observe.test_scrape import settled, working
from tidemill import Context, Secret, Tidemill
from tidemill.context import MAX_LOG_LINES, RUNNING, Ports, Running
from tidemill.observe.capture import Capture
from tidemill.observe.logs import Form, Level, configure_logs, log
from tidemill.task import Claim, ClaimRef

__all__ = ["shop"]
Configure = Callable[..., "Lines"]
LOG = logging.getLogger("shop.orders")


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.text.splitlines()]

    def of(self, message: str) -> dict[str, Any]:
        """The only line with a message."""
        [record] = [each for each in self.records if each["message"] == message]
        return record


@pytest.fixture
def configure() -> Iterator[Configure]:
    undone: list[Callable[[], None]] = []

    def start(form: Form = "json", level: Level = "info") -> Lines:
        lines = Lines()
        undone.append(configure_logs(form, level, "worker", stream=lines.stream))
        return lines

    yield start
    for undo in undone:
        undo()


def test_the_standard_loggers_are_joined(configure: Configure) -> None:
    lines = configure()
    LOG.warning("%d orders are late", 3)
    LOG.debug("not told")
    assert lines.of("3 orders are late") == {
        "at": lines.records[0]["at"],
        "level": "warning",
        "component": "worker",
        "logger": "shop.orders",
        "message": "3 orders are late",
    }
    assert lines.records[0]["at"].endswith("Z")
    assert len(lines.records) == 1


def test_the_loggers_of_structlog_are_joined(configure: Configure) -> None:
    lines = configure()
    structlog.get_logger("shop").info("paid %s", "cash", amount=5)
    assert lines.of("paid cash")["amount"] == 5


def test_an_exception_is_one_line_of_json(configure: Configure) -> None:
    lines = configure()
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        LOG.exception("it broke")
    assert "ZeroDivisionError: division by zero" in lines.of("it broke")["exception"]


def test_people_read_level_logger_and_fields(configure: Configure) -> None:
    lines = configure("console")
    LOG.warning("late")
    log("worker", logging.INFO, "a worker is ready", "WorkerStarted", {"worker": "w"})
    first, second = lines.text.splitlines()
    assert first.split("  ", 1)[1] == "warning  shop.orders: late"
    assert second.split("  ", 1)[1] == "a worker is ready"


def test_undoing_leaves_logging_as_it_was() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    undo = configure_logs("json", "debug", "worker", stream=io.StringIO())
    assert root.handlers != before
    undo()
    assert (root.handlers, root.level) == (before, level)


def _app() -> Tidemill:
    app = Tidemill("memory://")

    @app.task(name="asynchronous")
    async def asynchronous(ctx: Context, text: str) -> None:
        LOG.info("before %s", text)
        ctx.logger.warning("own %s", text)
        await asyncio.ensure_future(_inner(text))

    @app.task(name="threaded")
    def threaded(text: str) -> None:
        LOG.info("on a thread %s", text)
        structlog.get_logger("shop").info("structured", text=text)

    @app.task(name="many")
    def many(count: int) -> None:
        for number in range(count):
            LOG.info("line %d", number)

    return app


async def _inner(text: str) -> None:
    LOG.info("inside %s", text)


async def _ran(app: Tidemill, name: str, **payload: Any) -> list[tuple[str, str]]:
    """The lines that are kept with a task that has run."""
    async with working(app):
        done = asyncio.ensure_future(settled(app, 1))
        await asyncio.sleep(0)
        handle = await app.function(name).options(user_id="ana").enqueue(**payload)
        await done
        task = await handle.get()
        return [(line.level, line.message) for line in task.logs]


async def test_what_a_task_logs_names_it_and_is_kept_with_it_once(configure: Configure) -> None:
    lines, app = configure(), _app()
    kept = await _ran(app, "asynchronous", text="x")
    assert kept == [("info", "before x"), ("warning", "own x"), ("info", "inside x")]
    for message in ("before x", "own x", "inside x"):
        said = lines.of(message)
        assert said["component"] == "task"
        assert (said["task_type"], said["queue"]) == ("asynchronous", "default")
        assert (said["attempt"], said["user_id"]) == (1, "ana")
        assert said["task_id"]
        assert said["worker"]


async def test_what_a_function_on_a_thread_logs_is_kept_too(configure: Configure) -> None:
    lines, app = configure(), _app()
    kept = await _ran(app, "threaded", text="y")
    assert kept == [("info", "on a thread y"), ("info", "structured text=y")]
    assert lines.of("on a thread y")["task_type"] == "threaded"
    assert lines.of("structured")["text"] == "y"


async def test_a_task_keeps_a_thousand_lines(configure: Configure) -> None:
    lines, app = configure(), _app()
    kept = await _ran(app, "many", count=MAX_LOG_LINES + 50)
    assert len(kept) == MAX_LOG_LINES + 1
    assert kept[-1] == ("warning", f"only the first {MAX_LOG_LINES} lines are kept")
    assert sum(each.get("task_type") == "many" for each in lines.records) == MAX_LOG_LINES + 50


async def test_declared_secrets_are_masked_in_what_a_task_logs(configure: Configure) -> None:
    lines, app = configure(), Tidemill("memory://")

    @app.task(name="signs_in")
    async def signs_in(password: Secret[str]) -> None:
        LOG.info("with %s", password)
        structlog.get_logger("shop").info("again", word=password)

    kept = await _ran(app, "signs_in", password='open "sesame" 4711')
    assert [text for _, text in kept] == ["with ***", "again word=***"]
    assert lines.of("with ***")["task_type"] == "signs_in"
    assert lines.of("again")["word"] == "***"
    assert "4711" not in lines.text


async def test_lines_outside_of_tasks_name_none(configure: Configure) -> None:
    lines, app = configure(), _app()
    stop = threading.Event()

    def beside() -> None:
        stop.wait()
        LOG.info("beside")

    thread = threading.Thread(target=beside)
    thread.start()
    await _ran(app, "threaded", text="z")
    stop.set()
    thread.join()
    assert "task_id" not in lines.of("beside")


def test_a_line_that_cannot_be_filled_does_not_fail_its_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = logging.LogRecord("shop", logging.INFO, "shop.py", 1, "%d", ("text",), None)
    token = RUNNING.set(Running(CLAIM, _no_ports, "w"))
    try:
        Capture().emit(record)
    finally:
        RUNNING.reset(token)
    assert "TypeError" in capsys.readouterr().err


def _no_ports() -> Ports:
    raise AssertionError("nothing is kept of a line that cannot be filled")


CLAIM = Claim(
    ref=ClaimRef("id", 1, "claim", "default"),
    task_type="x",
    queue="default",
    priority=5,
    payload=b"",
    attempt=1,
    attempt_limit=1,
    max_attempts=1,
)


def _events(text: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in text.splitlines()]


def test_a_failed_task_is_one_line_without_its_payload(shop: Shop) -> None:
    words = ("worker", "-A", APP, "--log-format", "json")
    worker = shop.start(*words, until="WorkerStarted")
    asked = f"enqueue boom -A {APP} --wait --timeout 30 --user ana -p".split()
    assert shop.program(*asked, '{"text": "kaboom-4711"}').code == 1
    said = _events(shop.stop(worker).err)
    [failed] = [each for each in said if each.get("event") == "TaskFailed"]
    assert failed["level"] == "error"
    assert failed["component"] == "worker"
    assert (failed["task_type"], failed["queue"], failed["attempt"]) == ("boom", "default", 1)
    assert failed["user_id"] == "ana"
    assert failed["error"]["type"] == "builtins.ValueError"
    assert failed["error"]["fingerprint"]
    assert "traceback" not in failed["error"]
    assert "payload" not in failed
    assert not any(each.get("event") in {"TaskStarted", "TaskCompleted"} for each in said)


def test_each_task_is_told_at_debug_level_only(shop: Shop) -> None:
    words = ("worker", "-A", APP, "--log-format", "json", "--log-level", "debug")
    worker = shop.start(*words, until="WorkerStarted")
    asked = f"enqueue add -A {APP} --wait --timeout 30 -p".split()
    assert shop.program(*asked, '{"a": 1}').out == "2\n"
    said = _events(shop.stop(worker).err)
    told = [each["event"] for each in said if each.get("task_type") == "add"]
    assert told == ["TaskStarted", "TaskCompleted"]
    assert all(each["level"] == "debug" for each in said if each.get("task_type") == "add")


def test_logs_of_a_level_above_leave_the_others_out(shop: Shop) -> None:
    (shop.folder / "tidemill.yaml").write_text("logs:\n  level: error\n  format: json\n")
    worker = shop.start("worker", "-A", APP)
    asked = f"enqueue boom -A {APP} --wait --timeout 30 -p".split()
    assert shop.program(*asked, '{"text": "x"}').code == 1
    said = _events(shop.stop(worker).err)
    assert [each["event"] for each in said] == ["TaskFailed"]


def test_what_an_isolated_task_logs_comes_through_its_worker(shop: Shop) -> None:
    (shop.folder / "apart.py").write_text(APART)
    words = ("worker", "-A", "apart:app", "--log-format", "json")
    worker = shop.start(*words, until="WorkerStarted")
    asked = "enqueue apart -A apart:app --wait --timeout 30 -p".split()
    assert shop.program(*asked, '{"pin": "4711"}').out == '"done"\n'
    [record] = [each for each in _events(shop.stop(worker).err) if each.get("logger") == "apart"]
    assert (record["message"], record["task_type"]) == ("from the child ***", "apart")
    ids = shop.program("task", "ls", "-A", "apart:app", "-o", "jsonl").out
    task_id = msgspec.json.decode(ids.splitlines()[0])["id"]
    kept = shop.program("task", "logs", "-A", "apart:app", task_id, "-o", "jsonl").out
    messages = [msgspec.json.decode(line)["message"] for line in kept.splitlines()]
    assert messages == ["from the child ***", "own line"]


APART = """
import logging

from tidemill import Context, Secret, Tidemill

app = Tidemill("sqlite:///shop.db")


@app.task(name="apart", isolation="process")
def apart(ctx: Context, pin: Secret[str] = "4711") -> str:
    logging.getLogger("apart").info("from the child %s", pin)
    ctx.logger.info("own line")
    return "done"
"""
