"""One attempt of a Django task inside a worker of Tidemill."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from tidemill.app import Tidemill
from tidemill.context import Context
from tidemill.integrations.django.names import (
    Task,
    TaskContext,
    TaskResult,
    normalize_json,
    task_backends,
    task_finished,
    task_started,
)
from tidemill.integrations.django.results import Arguments, failed, result_of, succeeded
from tidemill.retry import GiveUp

NOTHING: Mapping[str, Any] = {}


def runner(app: Tidemill, task: Task, backend: str) -> Callable[..., Any]:
    """The function of the task type that stands for a Django task.

    Receivers of Django's signals are told of each start, and of the end once no attempt follows;
    what they raise is logged and changes nothing.
    """
    sender = type(task_backends[backend])

    async def begin(context: Context, arguments: Arguments) -> TaskResult:
        record = await app.handle(context.task_id).get()
        return result_of(record, task, arguments, backend)

    def given_up(context: Context, error: Exception) -> bool:
        claim, policy = context.claim, app.task_types[context.task_type].retry
        within_budget = claim.max_attempts - (claim.attempt_limit - claim.attempt)
        return isinstance(policy.decide(error, within_budget, claim.max_attempts), GiveUp)

    def run(
        context: Context,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = NOTHING,
        priority: int = 0,
        run_after: datetime | None = None,
    ) -> Any:
        arguments = Arguments(args, kwargs, priority, run_after)
        result = context.block_on(begin(context, arguments))
        with _connections():
            task_started.send_robust(sender, task_result=result)
            try:
                value = normalize_json(task.func(*_args(task, result), **result.kwargs))
            except Exception as error:
                if given_up(context, error):
                    task_finished.send_robust(sender, task_result=failed(result, error))
                raise
            task_finished.send_robust(sender, task_result=succeeded(result, value))
        return value

    async def run_async(
        context: Context,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = NOTHING,
        priority: int = 0,
        run_after: datetime | None = None,
    ) -> Any:
        arguments = Arguments(args, kwargs, priority, run_after)
        result = await begin(context, arguments)
        close = sync_to_async(close_old_connections)
        await close()
        try:
            await task_started.asend_robust(sender, task_result=result)
            value = normalize_json(await task.func(*_args(task, result), **result.kwargs))
        except Exception as error:
            if given_up(context, error):
                await task_finished.asend_robust(sender, task_result=failed(result, error))
            raise
        else:
            await task_finished.asend_robust(sender, task_result=succeeded(result, value))
        finally:
            await close()
        return value

    return run_async if iscoroutinefunction(task.func) else run


def _args(task: Task, result: TaskResult) -> list[Any]:
    return [TaskContext(task_result=result), *result.args] if task.takes_context else result.args


@contextmanager
def _connections() -> Iterator[None]:
    """As around a request: a connection that is broken or too old is not used, nor kept."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
