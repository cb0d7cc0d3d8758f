"""`tidemill stats`: what ended in a range of time, in numbers and over time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

from tidemill.app import Tidemill
from tidemill.cli.charts import parted, places, print_lines, sparkline
from tidemill.cli.output import Listing, Record, show, show_one, took
from tidemill.cli.records import plain
from tidemill.cli.session import Form, Session
from tidemill.cli.texts import Say
from tidemill.cli.times import moment, short, spelled
from tidemill.engine import Engine
from tidemill.statistics import By, Point


def stats(
    context: typer.Context,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="option.stats.since")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="option.stats.until")
    ] = None,
    by: Annotated[
        Literal["queue", "type"] | None, typer.Option("--by", help="option.stats.by")
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="option.stats.queue")] = None,
    task_type: Annotated[str | None, typer.Option("--type", help="option.stats.type")] = None,
    chart: Annotated[bool, typer.Option("--chart", help="option.stats.chart")] = False,
) -> None:
    """Tell how many tasks ended in a range of time, how, and how long they took."""
    session = Session.of(context)
    group: By | None = "task_type" if by == "type" else by
    only: dict[str, Any] = {"queue": queue, "task_type": task_type}

    async def look(app: Tidemill, engine: Engine) -> tuple[dict[str, Any], list[Point]]:
        now = (await engine.marks(())).at
        begin = moment(since, now, session.say)
        end = now if until is None else moment(until, now, session.say)
        record: dict[str, Any] = plain(await app.statistics(begin, end, **only))
        points: list[Point] = []
        if chart or group:
            points = await app.statistics_over_time(begin, end, by=group, **only)
        if group:
            names = sorted({str(getattr(point, group)) for point in points})
            record["groups"] = [
                {group: name, **plain(await app.statistics(begin, end, **{**only, group: name}))}
                for name in names
            ]
        if chart:
            record["points"] = plain(points)
        return record, points

    record, points = session.run(look)
    if session.form is not Form.TABLE or group is None:
        show_one(session, record, _lines(record, session.say))
    else:
        heading = "column.queue" if group == "queue" else "column.type"
        columns = {heading: lambda each: each[group], **_COLUMNS}
        show(session, Listing("groups", record["groups"], columns))
    if session.form is Form.TABLE and chart and points:
        print()
        print_lines(_chart(points, group, session.say))


def _lines(record: Record, say: Say) -> dict[str, object]:
    lines: dict[str, object] = {
        "stats.range": f"{short(record['since'])} – {short(record['until'])}",
        "stats.total": record["total"],
        "state.completed": record["completed"],
        "state.failed": record["failed"],
        "state.cancelled": record["cancelled"],
        "stats.success_rate": _percent(record),
        "stats.retried": record["retried"],
        "stats.reclaimed": record["reclaimed"],
    }
    for heading, kind in (("stats.duration", "duration"), ("stats.wait", "wait")):
        figures = {name: took(record[f"{name}_{kind}_ms"]) for name in ("avg", "p50", "p95", "p99")}
        lines[heading] = say("stats.figures", **figures) if all(figures.values()) else ""
    return {key: value for key, value in lines.items() if value != ""}


def _percent(record: Record) -> str:
    rate = record["success_rate"]
    return "" if rate is None else f"{rate:.2f} %"


_COLUMNS: Mapping[str, Callable[[Record], object]] = {
    "stats.total": lambda record: record["total"],
    "state.completed": lambda record: record["completed"],
    "state.failed": lambda record: record["failed"],
    "state.cancelled": lambda record: record["cancelled"],
    "stats.success_rate": _percent,
    "column.retried": lambda record: record["retried"],
    "column.avg": lambda record: took(record["avg_duration_ms"]),
    "column.p95": lambda record: took(record["p95_duration_ms"]),
    "column.p99": lambda record: took(record["p99_duration_ms"]),
    "column.wait_p95": lambda record: took(record["p95_wait_ms"]),
}


def _chart(points: Sequence[Point], group: By | None, say: Say) -> list[tuple[str, str, str]]:
    """The lines of a chart: what ended by outcome and how long it took, or what ended by group."""
    first, last = points[0], points[-1]
    counts: dict[str, list[int]] = {}
    for point in points:
        for heading, count in _counts(point, group, say).items():
            counts.setdefault(heading, []).append(count)
    length = -(-max(map(len, counts.values())) // places())
    step = spelled(length * (first.statistics.until - first.at))
    lines = []
    for heading, values in counts.items():
        sums = [sum(part) for part in parted(values, length)]
        remark = say("stats.most", count=f"{max(sums):,}", step=step)
        lines.append((heading, sparkline(sums), remark))
    if group is None:
        times = [point.statistics.p95_duration_ms or 0 for point in points]
        longest = [max(part) for part in parted(times, length)]
        lines.append((say("stats.p95"), sparkline(longest), took(max(longest))))
    since, until = plain(first.at), plain(last.statistics.until)
    return [*lines, ("", f"{short(since)} – {short(until)}", "")]


def _counts(point: Point, group: By | None, say: Say) -> dict[str, int]:
    if group:
        return {str(getattr(point, group)): point.statistics.total}
    states = ("completed", "failed", "cancelled")
    return {say(f"state.{each}"): getattr(point.statistics, each) for each in states}
