"""A traced application, and what its spans say, as the in-memory exporter has them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from tidemill import Tidemill
from tidemill.observe.tracing import trace


@dataclass(frozen=True)
class Traced:
    """A traced application, and the spans that have ended."""

    app: Tidemill
    exporter: InMemorySpanExporter
    provider: TracerProvider
    tracer: Tracer = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracer", self.provider.get_tracer("test"))

    def spans(self, name: str) -> list[ReadableSpan]:
        return [each for each in self.exporter.get_finished_spans() if each.name == name]

    def span(self, name: str) -> ReadableSpan:
        [found] = self.spans(name)
        return found


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Traced]:
    app, exporter, provider = Tidemill(url), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace(app, provider)
    yield Traced(app, exporter, provider)
    await app.close()


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    found: int = span.context.trace_id
    return found


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.context is not None
    assert parent.context is not None
    return (
        child.parent is not None
        and child.parent.span_id == parent.context.span_id
        and child.context.trace_id == parent.context.trace_id
    )


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
