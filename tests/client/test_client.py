"""Both clients against a real server with a worker, route by route."""

import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tidemill import (
    ChangedMeanwhile,
    Conflict,
    Context,
    PayloadInvalid,
    QueueNotFound,
    TaskNotFinished,
    TaskNotFound,
    Tidemill,
    TidemillError,
    UnknownTaskType,
)
from tidemill.access import FULL
from tidemill.api import create_api, openapi_document
from tidemill.api.server import listen, serving, url_of
from tidemill.client import AsyncClient, Client, Problem, RequestRefused
from tidemill.client.asking import Route
from tidemill.client.problems import error_of, problem_of
from tidemill.interface.tasks import TaskPage
from tidemill.node import Node

OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in openapi_document()["paths"].items()
    for method, operation in methods.items()
}
STREAMS = {"events", "task_events"}
FOR_PROMETHEUS = {"metrics"}
"""What is no JSON, and read by no client of ours."""

ROUTES = {name: each for name, each in vars(Client).items() if isinstance(each, Route)}
NOBODY = "019a0000-0000-7000-8000-000000000000"
REFERENCE = "#/components/schemas/{name}"
NOTHING = {"application/json": {"schema": {"type": "null"}}}


@dataclass(frozen=True)
class Face:
    """One of the clients, asked in the same way: the async one on a loop of its own."""

    client: Client | AsyncClient
    runner: asyncio.Runner

    def __call__(self, name: str, *args: Any, **said: Any) -> Any:
        answer = getattr(self.client, name)(*args, **said)
        if not inspect.iscoroutine(answer):
            return answer
        return self.runner.run(answer)

    def read(self, ask: Any) -> Any:
        return self("read", ask)

    def events(self, name: str, *args: Any, number: int | None = None, **said: Any) -> list[Any]:
        """So many events of a stream, or all of them."""
        if isinstance(self.client, Client):
            with getattr(self.client, name)(*args, **said) as events:
                return list(islice(events, number))

        async def taken() -> list[Any]:
            found: list[Any] = []
            async with getattr(self.client, name)(*args, **said) as events:
                async for each in events:
                    found.append(each)
                    if len(found) == number:
                        break
            return found

        return self.runner.run(taken())


def application(url: str) -> Tidemill:
    app = Tidemill(url)

    @app.task(name="add", queue="sums")
    async def add(ctx: Context, a: int, b: int = 1) -> int:
        ctx.logger.info("adding %d", a)
        await ctx.progress(50, "half")
        return a + b

    @app.task(name="boom", max_attempts=1)
    async def boom(text: str = "x") -> None:
        raise ValueError(text)

    return app


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a worker on a thread of its own."""
    engine = f"sqlite:///{tmp_path_factory.mktemp('client') / 'tasks.db'}"
    listening = listen("127.0.0.1", 0)
    ready, stopping = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    made: list[str] = []

    async def serve() -> None:
        app = application(engine)
        api = create_api(app)
        node = Node(app)
        made.append((await app.keys.create("tests", FULL)).text)
        working = asyncio.create_task(node.run())
        async with serving(api, listening, end=api.end):
            ready.set()
            await stopping.wait()
        node.drain()
        await working

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert ready.wait(30)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIDEMILL_API_KEY", made[0])
        yield url_of(listening)
    loop.call_soon_threadsafe(stopping.set)
    thread.join(30)
    loop.close()


@pytest.fixture(params=["blocking", "async"])
def face(request: pytest.FixtureRequest, url: str) -> Iterator[Face]:
    with asyncio.Runner() as runner:
        client = Client(url) if request.param == "blocking" else AsyncClient(url)
        face = Face(client, runner)
        yield face
        face("close")


def test_both_clients_have_every_route_of_the_interface() -> None:
    assert ROUTES.keys() | STREAMS == OPERATIONS.keys() - FOR_PROMETHEUS
    asynchronous = {name for name, each in vars(AsyncClient).items() if isinstance(each, Route)}
    assert asynchronous == ROUTES.keys()
    for name in STREAMS:
        assert callable(getattr(Client, name))
        assert callable(getattr(AsyncClient, name))


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_asks_and_is_answered_as_the_interface_documents(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    names = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
    needed = [
        each.name
        for each in inspect.signature(ROUTES[name].ask).parameters.values()
        if each.default is inspect.Parameter.empty
        and each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    values: list[Any] = [[] if each == "tasks" else f"the {each}" for each in needed]
    ask = ROUTES[name].ask(*values)
    assert ask.method == method
    filled = path
    for each, value in zip(names, values, strict=False):
        filled = filled.replace(f"{{{each}}}", str(value).replace(" ", "%20"))
    assert ask.path == filled
    documented = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    assert ask.query.keys() <= documented
    assert (ask.body is not None) <= ("requestBody" in operation)
    (shape,), _ = msgspec.json.schema_components([ask.answer], ref_template=REFERENCE)
    answers = [each for status, each in operation["responses"].items() if status.startswith("2")]
    assert answers
    for each in answers:
        assert each.get("content", NOTHING)["application/json"]["schema"] == shape


def test_what_a_newer_server_says_besides_is_left_out() -> None:
    page = TaskPage(
        tasks=(), page=None, page_size=20, total=None, total_capped=False, next_cursor="c"
    )
    said = msgspec.to_builtins(page) | {"previous_cursor": "b"}
    server = httpx.MockTransport(lambda _: httpx.Response(200, json=said))
    with Client("http://mill", transport=server) as client:
        assert client.list_tasks(cursor="").next_cursor == "c"


def test_a_task_is_submitted_read_and_followed(face: Face) -> None:
    task = face("submit_task", "add", {"a": 1}, priority=7, user_id="u-1", tags=["x"], wait=30)
    assert (task.status, task.result, task.payload) == ("completed", 2, {"a": 1})
    assert (task.priority, task.user_id, task.tags) == (7, "u-1", ("x",))
    assert face("get_task", task.task_id).result == 2
    assert face("get_progress", task.task_id).progress == 100
    assert face("get_result", task.task_id).result == 2
    (run,) = face("get_runs", task.task_id)
    assert (run.attempt, run.status, run.error) == (1, "completed", None)
    assert [line.message for line in face("get_logs", task.task_id)] == ["adding 1"]


def test_tasks_are_submitted_at_once_and_listed_in_pages(face: Face) -> None:
    label = f"bulk-{id(face)}"
    said = [{"task_type": "add", "payload": {"a": n}, "project_id": label} for n in range(5)]
    answer = face("submit_tasks", [*said, {"task_type": "gone"}])
    assert (answer.accepted, answer.refused) == (5, 1)
    assert answer.tasks[5].error is not None
    assert answer.tasks[5].error.type == "unknown-task-type"
    page = face("list_tasks", project_id=label, page=1, page_size=2)
    assert (len(page.tasks), page.total) == (2, 5)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = face("list_tasks", project_id=label, limit=2, cursor=cursor)
        seen += [task.task_id for task in page.tasks]
        cursor = page.next_cursor
    assert sorted(seen) == sorted(str(each.task_id) for each in answer.tasks[:5])
    both = face("list_tasks", project_id=label, status=["completed", "pending", "running"])
    assert len(both.tasks) == 5


def test_a_repeated_request_is_the_same_task(face: Face) -> None:
    key = f"key-{id(face)}"
    first = face("submit_task", "add", {"a": 1}, idempotency_key=key)
    assert face("submit_task", "add", {"a": 1}, idempotency_key=key).task_id == first.task_id


def test_tasks_are_cancelled_and_run_again(face: Face) -> None:
    later = face("submit_task", "add", {"a": 1}, delay=3600)
    with pytest.raises(TaskNotFinished):
        face("get_result", later.task_id)
    assert face("delete_task", later.task_id).status == "cancelled"
    with pytest.raises(Conflict):
        face("delete_task", later.task_id)
    other = face("submit_task", "add", {"a": 1}, delay=3600)
    assert face("cancel_task", other.task_id, "not wanted").reason == "not wanted"
    assert face("retry_task", other.task_id).task_id == other.task_id
    failed = face("submit_task", "boom", wait=30)
    edited = face("retry_task", failed.task_id, {"text": "y"})
    assert edited.retried_from == failed.task_id


def test_failed_tasks_are_grouped_retried_and_dropped(face: Face) -> None:
    label = f"failed-{id(face)}"
    face("submit_task", "boom", project_id=label, wait=30)
    (group,) = face("list_failed_groups", project_id=label).groups
    assert (group.count, group.error_type) == (1, "builtins.ValueError")
    again = face("retry_failed_group", group.fingerprint, project_id=label, rate=100)
    assert again.retried == 1
    (task,) = face("list_tasks", project_id=label).tasks
    assert face("get_result", task.task_id, wait=30).error.message == "x"
    assert face("drop_failed_group", group.fingerprint, project_id=label).dropped == 1


def test_queues_are_made_changed_paused_and_emptied(face: Face) -> None:
    name = f"q-{id(face)}"
    assert face("create_queue", name, concurrency=3, rate="100/m").concurrency == 3
    assert name in [each.name for each in face("list_queues").queues]
    read = face.read(Client.get_queue.ask(name))
    assert face("change_queue", name, if_match=read.etag, weight=5).weight == 5
    with pytest.raises(ChangedMeanwhile, match="changed since it was read"):
        face("change_queue", name, if_match=read.etag, weight=6)
    assert face("pause_queue", name).paused
    face("submit_task", "add", {"a": 1}, queue_name=name)
    assert face("get_queue_stats", name).pending == 1
    counted = face("purge_queue", name, dry_run=True)
    assert (counted.waiting, counted.cancelled) == (1, 0)
    assert face("purge_queue", name, until=counted.until).cancelled == 1
    assert not face("resume_queue", name).paused
    assert face("reset_queue", name).weight == 1
    assert face("get_queue", name).counts["cancelled"] == 1


def test_schedules_are_made_changed_run_and_removed(face: Face) -> None:
    name = f"hourly {id(face)}".replace(" ", "-")
    made = face(
        "create_scheduled_task", name, task_type="add", cron_expr="0 * * * *", payload={"a": 1}
    )
    assert made.cron_expr == "0 * * * *"
    assert name in [each.name for each in face("list_scheduled_tasks").scheduled_tasks]
    assert face("change_scheduled_task", name, cron_expr="30 * * * *").cron_expr == "30 * * * *"
    assert not face("pause_scheduled_task", name).is_active
    assert face("resume_scheduled_task", name).is_active
    task = face("run_scheduled_task", name)
    assert face("get_result", task.task_id, wait=30).result == 2
    (fire,) = face("get_fires", name)
    assert (fire.task_id, fire.by_hand) == (task.task_id, True)
    assert face("get_scheduler_statistics").active >= 1
    assert face("get_scheduled_task", name).run_count == 1
    assert face("delete_scheduled_task", name) is None


def test_numbers_workers_and_health_are_told(face: Face) -> None:
    face("submit_task", "add", {"a": 1}, wait=30)
    now = datetime.now(UTC)
    since = now - timedelta(hours=1)
    told = face("get_statistics", start_time=since, end_time=now + timedelta(minutes=1))
    assert told.completed >= 1
    points = face(
        "get_statistics_over_time", start_time=since, end_time=now, resolution="minute", by="queue"
    )
    assert points.resolution == "minute"
    assert [each.live for each in face("list_workers").workers] == [True]
    assert face("get_health").status == "ok"
    assert face("get_readiness").engine == "sqlite"


def test_a_workflow_that_is_not_there_is_told(face: Face) -> None:
    for name in ("get_workflow", "list_steps", "cancel_workflow", "retry_workflow"):
        with pytest.raises(TidemillError) as told:
            face(name, NOBODY)
        assert "404" in str(told.value) or told.value.exit_code == 3


def test_live_changes_are_events(face: Face) -> None:
    task = face("submit_task", "add", {"a": 1}, wait=30)
    (state,) = face.events("task_events", task.task_id)
    assert (state.name, state.data.status) == ("state", "completed")
    face("submit_task", "add", {"a": 1}, wait=30)
    told = face.events("events", last=state.id, types="enqueued,completed", number=2)
    assert [each.name for each in told] == ["enqueued", "completed"]
    assert told[1].data.progress == 100
    reset, standing = face.events("events", last="x", number=2)
    assert (reset.name, reset.data.reason) == ("reset", "lost")
    assert {each.queue_name for each in standing.data.queues} >= {"sums"}
    with pytest.raises(TaskNotFound):
        face.events("task_events", NOBODY)


def test_what_the_server_refuses_is_raised_as_the_librarys_own_error(face: Face) -> None:
    with pytest.raises(TaskNotFound, match="there is no task") as missing:
        face("get_task", NOBODY)
    assert missing.value.problem.status == 404  # type: ignore[attr-defined]  # added by the client
    with pytest.raises(QueueNotFound):
        face("get_queue", "none")
    with pytest.raises(UnknownTaskType):
        face("submit_task", "gone")
    with pytest.raises(PayloadInvalid) as invalid:
        face("submit_task", "add", {"a": "x"})
    assert invalid.value.field == "payload.a"
    with pytest.raises(RequestRefused, match="422 request-invalid: priority"):
        face("submit_task", "add", {"a": 1}, priority=11)


def test_a_server_that_is_not_there_is_httpxs_own_error() -> None:
    with listen("127.0.0.1", 0) as unused:
        url = url_of(unused)
    with Client(url) as client, pytest.raises(httpx.ConnectError):
        client.get_health()


def test_an_answer_that_is_no_problem_is_told_by_its_status() -> None:
    error = error_of(problem_of(502, b"<html>"))
    assert isinstance(error, RequestRefused)
    assert str(error) == "502 no-problem-details: Bad Gateway"
    assert problem_of(799, b"").title == "Unknown"


def test_every_error_of_the_tree_can_come_back() -> None:
    def tree(kind: type[TidemillError]) -> Iterator[type[TidemillError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from tree(each)

    for kind in tree(TidemillError):
        if kind is RequestRefused:
            continue
        problem = Problem(type=kind.slug, title="t", status=400, detail="what happened")
        error = error_of(problem)
        assert type(error) is kind
        assert str(error) == "what happened"
        for name in inspect.signature(kind).parameters:
            if name != "message":
                getattr(error, name)


def test_the_client_needs_no_server_packages() -> None:
    code = (
        "import sys, tidemill.client; "
        "print([m for m in ('litestar', 'uvicorn', 'apsw', 'tidemill.api') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_results_have_the_types_of_their_routes(tmp_path: Path) -> None:
    """What mypy says of both faces: from one description, a value and a coroutine of it."""
    source = tmp_path / "uses.py"
    source.write_text(
        "from tidemill.client import AsyncClient, Client\n"
        "def blocking(c: Client) -> None:\n"
        "    reveal_type(c.get_task('x'))\n"
        "    c.get_task(1)\n"
        "async def waiting(c: AsyncClient) -> None:\n"
        "    reveal_type(await c.list_queues())\n"
        "    await c.submit_task('x', prio=1)\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "c"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line.partition(": ")[2] for line in done.stdout.splitlines()]
    assert 'note: Revealed type is "tidemill.interface.tasks.TaskRecord"' in said
    assert 'note: Revealed type is "tidemill.interface.queues.QueuesRecord"' in said
    assert sum(line.startswith("error: ") for line in said) == 2
