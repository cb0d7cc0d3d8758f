"""The two clients. Both list every route; `asking.Route` makes it a method of either."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import httpx
import msgspec

from tidemill.client.asking import Ask, path
from tidemill.client.events import Event, Lines
from tidemill.client.problems import error_of, problem_of
from tidemill.client.routes import (
    access,
    alerts,
    failed,
    fleet,
    queues,
    schedules,
    tasks,
    webhooks,
    workflows,
)
from tidemill.client.routes.forms import API

T = TypeVar("T")

KEY_VARIABLE: Final = "TIDEMILL_API_KEY"

TIMEOUT: Final = 10.0
"""Seconds for a request, besides those that the server is asked to wait."""

SILENCE: Final = 45.0
"""Seconds without a sign on a stream, after which it is given up: three comments of the server."""

REFUSED: Final = 400
NO_MORE: Final = 204


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """What was answered, with the status and the `etag` that a change may be made to depend on."""

    value: T
    status: int
    etag: str | None


class Client:
    """The HTTP interface for ordinary code; close it, or use it as a context.

    `key` is an API key or a token; left out, that of the environment variable TIDEMILL_API_KEY.

    Every method raises the error of `tidemill.errors` that the server told, `RequestRefused` for
    what only HTTP refuses, and httpx's own errors when the server cannot be reached. Then a submit
    may or may not have happened: give it an `id`, and repeat it safely.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._http = httpx.Client(
            base_url=url, headers=_with_key(headers, key), timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def do(self, ask: Ask[T]) -> T:
        """What is answered to a request."""
        return self.read(ask).value

    def read(self, ask: Ask[T]) -> Answer[T]:
        """The same with status and `etag`: `client.read(Client.get_queue.ask("mail"))`."""
        return _answer(ask, self._http.send(self._http.build_request(**_sent(ask, self._timeout))))

    @contextmanager
    def task_events(self, task_id: str, *, last: str | None = None) -> Iterator[Iterator[Event]]:
        """The changes of one task, from its state to its end."""
        with self._events(path(f"{API}/tasks/{{}}/events", task_id), {}, last) as events:
            yield events

    @contextmanager
    def events(
        self, *, queue: str = "", task_type: str = "", types: str = "", last: str | None = None
    ) -> Iterator[Iterator[Event]]:
        """The changes of all tasks, or those of some queues, task types and names of events.

        Whatever happens once the context is open is told. After a broken connection go on with the
        `id` of the last event as `last`.
        """
        query = {"queue": queue, "task_type": task_type, "types": types}
        with self._events(f"{API}/events", query, last) as events:
            yield events

    @contextmanager
    def _events(
        self, at: str, query: Mapping[str, str], last: str | None
    ) -> Iterator[Iterator[Event]]:
        with self._http.stream("GET", at, **_streamed(query, last)) as response:
            if response.status_code >= REFUSED:
                raise error_of(problem_of(response.status_code, response.read()))
            lines = Lines()
            taken = (lines.take(line) for line in response.iter_lines())
            yield (event for event in taken if event is not None)

    submit_task = tasks.submit_task
    submit_tasks = tasks.submit_tasks
    get_task = tasks.get_task
    list_tasks = tasks.list_tasks
    delete_task = tasks.delete_task
    cancel_task = tasks.cancel_task
    retry_task = tasks.retry_task
    get_progress = tasks.get_progress
    get_result = tasks.get_result
    get_runs = tasks.get_runs
    get_logs = tasks.get_logs
    get_statistics = tasks.get_statistics
    get_statistics_over_time = tasks.get_statistics_over_time
    create_queue = queues.create_queue
    list_queues = queues.list_queues
    get_queue = queues.get_queue
    get_queue_stats = queues.get_queue_stats
    change_queue = queues.change_queue
    reset_queue = queues.reset_queue
    pause_queue = queues.pause_queue
    resume_queue = queues.resume_queue
    purge_queue = queues.purge_queue
    create_scheduled_task = schedules.create_scheduled_task
    list_scheduled_tasks = schedules.list_scheduled_tasks
    get_scheduled_task = schedules.get_scheduled_task
    change_scheduled_task = schedules.change_scheduled_task
    delete_scheduled_task = schedules.delete_scheduled_task
    get_fires = tasks.get_fires
    pause_scheduled_task = schedules.pause_scheduled_task
    resume_scheduled_task = schedules.resume_scheduled_task
    run_scheduled_task = schedules.run_scheduled_task
    get_scheduler_statistics = schedules.get_scheduler_statistics
    list_failed_groups = failed.list_failed_groups
    retry_failed_group = failed.retry_failed_group
    drop_failed_group = failed.drop_failed_group
    list_workers = fleet.list_workers
    get_workflow = workflows.get_workflow
    list_steps = workflows.list_steps
    cancel_workflow = workflows.cancel_workflow
    retry_workflow = workflows.retry_workflow
    list_keys = access.list_keys
    create_key = access.create_key
    revoke_key = access.revoke_key
    get_me = access.get_me
    create_webhook = webhooks.create_webhook
    list_webhooks = webhooks.list_webhooks
    get_webhook = webhooks.get_webhook
    change_webhook = webhooks.change_webhook
    delete_webhook = webhooks.delete_webhook
    rotate_webhook = webhooks.rotate_webhook
    test_webhook = webhooks.test_webhook
    list_deliveries = webhooks.list_deliveries
    list_audit = access.list_audit
    list_alerts = alerts.list_alerts
    list_silences = alerts.list_silences
    create_silence = alerts.create_silence
    delete_silence = alerts.delete_silence
    get_health = fleet.get_health
    get_readiness = fleet.get_readiness


class AsyncClient:
    """The same for coroutines: every method of `Client`, to be awaited."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            base_url=url, headers=_with_key(headers, key), timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def do(self, ask: Ask[T]) -> T:
        """What is answered to a request."""
        return (await self.read(ask)).value

    async def read(self, ask: Ask[T]) -> Answer[T]:
        """The same with status and `etag`."""
        request = self._http.build_request(**_sent(ask, self._timeout))
        return _answer(ask, await self._http.send(request))

    @asynccontextmanager
    async def task_events(
        self, task_id: str, *, last: str | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The changes of one task, from its state to its end."""
        at = path(f"{API}/tasks/{{}}/events", task_id)
        async with self._events(at, {}, last) as events:
            yield events

    @asynccontextmanager
    async def events(
        self, *, queue: str = "", task_type: str = "", types: str = "", last: str | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The changes of all tasks, or those of some queues, task types and names of events."""
        query = {"queue": queue, "task_type": task_type, "types": types}
        async with self._events(f"{API}/events", query, last) as events:
            yield events

    @asynccontextmanager
    async def _events(
        self, at: str, query: Mapping[str, str], last: str | None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        async with self._http.stream("GET", at, **_streamed(query, last)) as response:
            if response.status_code >= REFUSED:
                raise error_of(problem_of(response.status_code, await response.aread()))
            lines = Lines()
            yield (
                event
                async for line in response.aiter_lines()
                if (event := lines.take(line)) is not None
            )

    submit_task = tasks.submit_task
    submit_tasks = tasks.submit_tasks
    get_task = tasks.get_task
    list_tasks = tasks.list_tasks
    delete_task = tasks.delete_task
    cancel_task = tasks.cancel_task
    retry_task = tasks.retry_task
    get_progress = tasks.get_progress
    get_result = tasks.get_result
    get_runs = tasks.get_runs
    get_logs = tasks.get_logs
    get_statistics = tasks.get_statistics
    get_statistics_over_time = tasks.get_statistics_over_time
    create_queue = queues.create_queue
    list_queues = queues.list_queues
    get_queue = queues.get_queue
    get_queue_stats = queues.get_queue_stats
    change_queue = queues.change_queue
    reset_queue = queues.reset_queue
    pause_queue = queues.pause_queue
    resume_queue = queues.resume_queue
    purge_queue = queues.purge_queue
    create_scheduled_task = schedules.create_scheduled_task
    list_scheduled_tasks = schedules.list_scheduled_tasks
    get_scheduled_task = schedules.get_scheduled_task
    change_scheduled_task = schedules.change_scheduled_task
    delete_scheduled_task = schedules.delete_scheduled_task
    get_fires = tasks.get_fires
    pause_scheduled_task = schedules.pause_scheduled_task
    resume_scheduled_task = schedules.resume_scheduled_task
    run_scheduled_task = schedules.run_scheduled_task
    get_scheduler_statistics = schedules.get_scheduler_statistics
    list_failed_groups = failed.list_failed_groups
    retry_failed_group = failed.retry_failed_group
    drop_failed_group = failed.drop_failed_group
    list_workers = fleet.list_workers
    get_workflow = workflows.get_workflow
    list_steps = workflows.list_steps
    cancel_workflow = workflows.cancel_workflow
    retry_workflow = workflows.retry_workflow
    list_keys = access.list_keys
    create_key = access.create_key
    revoke_key = access.revoke_key
    get_me = access.get_me
    create_webhook = webhooks.create_webhook
    list_webhooks = webhooks.list_webhooks
    get_webhook = webhooks.get_webhook
    change_webhook = webhooks.change_webhook
    delete_webhook = webhooks.delete_webhook
    rotate_webhook = webhooks.rotate_webhook
    test_webhook = webhooks.test_webhook
    list_deliveries = webhooks.list_deliveries
    list_audit = access.list_audit
    list_alerts = alerts.list_alerts
    list_silences = alerts.list_silences
    create_silence = alerts.create_silence
    delete_silence = alerts.delete_silence
    get_health = fleet.get_health
    get_readiness = fleet.get_readiness


def _with_key(headers: Mapping[str, str] | None, key: str | None) -> dict[str, str]:
    """The headers of every request; those that the caller chose win."""
    given = key or os.environ.get(KEY_VARIABLE)
    return ({"Authorization": f"Bearer {given}"} if given else {}) | dict(headers or {})


def _sent(ask: Ask[Any], timeout: float) -> dict[str, Any]:
    """A request as httpx wants it."""
    made: dict[str, Any] = {
        "method": ask.method,
        "url": ask.path,
        "params": _query(ask.query),
        "headers": dict(ask.headers),
        "timeout": timeout + ask.patience,
    }
    if ask.body is not None:
        made["content"] = msgspec.json.encode(ask.body)
        made["headers"]["Content-Type"] = "application/json"
    return made


def _streamed(query: Mapping[str, str], last: str | None) -> dict[str, Any]:
    return {
        "params": _query(query),
        "headers": {} if last is None else {"Last-Event-ID": last},
        "timeout": httpx.Timeout(TIMEOUT, read=SILENCE),
    }


def _query(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The values that say something; a list is a name several times."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None or (value == "" and name != "cursor"):
            continue
        many = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
        pairs += [(name, _text(each)) for each in many]
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _answer(ask: Ask[T], response: httpx.Response) -> Answer[T]:
    if response.status_code >= REFUSED:
        problem = problem_of(response.status_code, response.content)
        raise error_of(problem, response.headers.get("retry-after"))
    empty = response.status_code == NO_MORE
    value: Any = None if empty else msgspec.json.decode(response.content, type=ask.answer)
    return Answer(value, response.status_code, response.headers.get("etag"))
