"""OpenTelemetry: one trace from who enqueues, through the run, to what that enqueues.

Spans and their attributes follow the semantic conventions for messaging, version 1.37. The context
travels in the headers of a task as W3C `traceparent` and `tracestate`. Nothing is imported here
unless an application asks for it; the spans go wherever OpenTelemetry is told to send them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from tidemill.app import Tidemill
from tidemill.app.tracing import CallBatch
from tidemill.context import Context, Suspended
from tidemill.errors import ConfigError
from tidemill.outcome import Cancel, Snooze
from tidemill.task import Claim, NewTask

try:
    from opentelemetry.context import Context as Around
    from opentelemetry.context import get_current
    from opentelemetry.trace import (
        Link,
        Span,
        SpanKind,
        Status,
        StatusCode,
        Tracer,
        TracerProvider,
        get_current_span,
        get_tracer_provider,
        set_span_in_context,
        use_span,
    )
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError as missing:
    raise ConfigError(
        f"tracing needs the package {missing.name}: install 'tidemill[otel]', and opentelemetry-sdk"
        " with an exporter to send the spans somewhere"
    ) from missing

Attributes = dict[str, str | int | bool]

SYSTEM: Final = "tidemill"
FLUSH_WITHIN: Final = 2_000
"""Milliseconds that a child process gives its exporter after a task."""

_W3C = TraceContextTextMapPropagator()
_NOWHERE = Around()


def trace(app: Tidemill, provider: TracerProvider | None = None) -> None:
    """Trace the tasks of an application: what it enqueues from now on, and what workers run of it.

    Call it where the application is made, so that each process that imports it does the same. It
    becomes the outermost middleware. `provider` is OpenTelemetry's own unless given. Asking twice
    is asking once.
    """
    if app.tracing is not None:
        return
    spans = Spans(provider or get_tracer_provider())
    app.tracing = spans
    app.middleware = (spans.running, *app.middleware)


class Spans:
    """Makes a span of each task that is sent, of each attempt, and of each batch."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("tidemill")

    @contextmanager
    def sending(self, tasks: Sequence[NewTask]) -> Iterator[list[NewTask]]:
        """Spans of tasks that are sent, from here until the engine has them.

        A task that carries a context already, as from an HTTP request, continues that one.
        """
        spans = [self._send(task) for task in tasks]
        try:
            yield [_carrying(task, span) for task, span in zip(tasks, spans, strict=True)]
        except BaseException as error:
            for span in spans:
                _fail(span, error)
            raise
        finally:
            for span in spans:
                span.end()

    def carried(self) -> Mapping[str, str]:
        """The context here, as headers; empty outside of any span."""
        headers: dict[str, str] = {}
        if get_current_span().get_span_context().is_valid:
            _W3C.inject(headers)
        return headers

    async def running(self, ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        """The middleware: a span around one attempt."""
        claim = ctx.claim
        span = self._tracer.start_span(
            f"process {claim.queue}",
            context=_W3C.extract(claim.headers, _NOWHERE),
            kind=SpanKind.CONSUMER,
            attributes=_processing(claim.queue)
            | {
                "messaging.message.id": claim.ref.task_id,
                "messaging.message.body.size": len(claim.payload),
                "tidemill.task_type": claim.task_type,
                "tidemill.attempt": claim.attempt,
            },
        )
        return await _inside(span, call_next)

    async def handling(self, claims: Sequence[Claim], call_batch: CallBatch) -> Any:
        """A span around the call of a batch, linked to the traces that its tasks belong to."""
        queues = {claim.queue for claim in claims}
        queue = queues.pop() if len(queues) == 1 else None
        senders = [get_current_span(_W3C.extract(each.headers, _NOWHERE)) for each in claims]
        span = self._tracer.start_span(
            f"process {queue}" if queue else "process",
            context=_NOWHERE,
            kind=SpanKind.CONSUMER,
            attributes=_processing(queue)
            | {
                "messaging.batch.message_count": len(claims),
                "tidemill.task_type": claims[0].task_type,
            },
            links=[
                Link(each.get_span_context(), {"messaging.message.id": claim.ref.task_id})
                for claim, each in zip(claims, senders, strict=True)
                if each.get_span_context().is_valid
            ],
        )
        return await _inside(span, call_batch)

    def flush(self) -> None:
        """Let the provider export what it has; not all of them can be told to."""
        force: Callable[[int], object] | None = getattr(self._provider, "force_flush", None)
        if force is not None:
            force(FLUSH_WITHIN)

    def _send(self, task: NewTask) -> Span:
        return self._tracer.start_span(
            f"send {task.queue}",
            context=_W3C.extract(task.headers, get_current()),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": SYSTEM,
                "messaging.destination.name": task.queue,
                "messaging.operation.type": "send",
                "messaging.operation.name": "send",
                "messaging.message.id": task.id,
                "messaging.message.body.size": len(task.payload),
                "tidemill.task_type": task.task_type,
            },
        )


def _processing(queue: str | None) -> Attributes:
    named: Attributes = {} if queue is None else {"messaging.destination.name": queue}
    return named | {
        "messaging.system": SYSTEM,
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
    }


def _carrying(task: NewTask, span: Span) -> NewTask:
    headers = {name: text for name, text in task.headers.items() if name not in _W3C.fields}
    if span.get_span_context().is_valid:
        _W3C.inject(headers, set_span_in_context(span))
    return msgspec.structs.replace(task, headers=headers)


async def _inside(span: Span, call: Callable[[], Awaitable[Any]]) -> Any:
    """Run inside a span, and let it say how that ended."""
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            value = await call()
        except Suspended:
            _ended(span, "waiting")
            raise
        except BaseException as error:
            interrupted = isinstance(error, asyncio.CancelledError)
            _ended(span, "interrupted" if interrupted else "raised")
            _fail(span, error)
            raise
        match value:
            case Snooze():
                _ended(span, "snoozed")
            case Cancel():
                _ended(span, "cancelled")
            case _:
                _ended(span, "completed")
        return value


def _ended(span: Span, how: str) -> None:
    span.set_attribute("tidemill.outcome", how)


def _fail(span: Span, error: BaseException) -> None:
    """Mark a span as failed by a kind of error, as the task's record calls it.

    Message and traceback stay in that record: they may hold what must not leave it.
    """
    kind = type(error)
    span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}")
    span.set_status(Status(StatusCode.ERROR))
