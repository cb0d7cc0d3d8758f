"""A traced application that child processes can import; its spans go into a file, line by line."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import get_tracer

from tidemill import Context, Settings, Tidemill
from tidemill.observe.tracing import trace

FILE = "TIDEMILL_TEST_SPANS"


class ToFile(SpanExporter):
    """Appends a line for each span: its name, trace, own id, parent, and the process."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(os.environ[FILE]).open("ab") as file:
            for each in spans:
                context, parent = each.context, each.parent
                assert context is not None
                told = {
                    "name": each.name,
                    "trace": f"{context.trace_id:032x}",
                    "id": f"{context.span_id:016x}",
                    "parent": f"{parent.span_id:016x}" if parent else None,
                    "pid": os.getpid(),
                }
                file.write(msgspec.json.encode(told) + b"\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
# An hour: what a child process does not hand on by itself is lost with it.
provider.add_span_processor(BatchSpanProcessor(ToFile(), schedule_delay_millis=3_600_000))

app = Tidemill(settings=Settings(url="memory://"))
trace(app, provider)


@app.task(queue="cut")
async def small() -> None: ...


@app.task(isolation="process", queue="whole")
def isolated(ctx: Context) -> int:
    with get_tracer("test", tracer_provider=provider).start_as_current_span("inside"):
        ctx.enqueue(small.call())
    return os.getpid()
