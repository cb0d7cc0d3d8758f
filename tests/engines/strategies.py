"""What Hypothesis makes up for the model: values that are few and plain, so that they meet."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st

from tidemill.clock import VirtualClock, from_micros
from tidemill.engine import QueueDefinition
from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Snoozed,
    Waiting,
)
from tidemill.rates import Rate
from tidemill.task import (
    After,
    Limit,
    LogLine,
    NewTask,
    Progress,
    Retention,
    TaskError,
    UniqueKey,
)
from tidemill.testing import new_task, numbered_id
from tidemill.testing.lab import NO_TIME, TICK

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LEASE = 30 * SECOND
START = VirtualClock().now()

ids = st.integers(1, 12).map(numbered_id)
queues = st.sampled_from("ab")
limits = st.sampled_from((0, 1, 2, 5, 100))
later = st.sampled_from((NO_TIME, NO_TIME, TICK, 20 * SECOND, 2 * MINUTE))
instants = later.map(lambda after: from_micros(START) + after)
reasons = st.sampled_from(("", "because"))
errors = st.sampled_from((TaskError("a.B", "50% broke"), TaskError("a.C", "x", "Trace…", "f1")))
progress = st.none() | st.sampled_from((Progress(10.0), Progress(50.5, "m", "s", 1, 2)))
logs = st.lists(
    st.builds(LogLine, instants, st.just("info"), st.sampled_from(("one", "二")), st.just(1)),
    max_size=1,
).map(tuple)
unique_keys = st.builds(
    UniqueKey,
    st.sampled_from(("k1", "k2")),
    st.sampled_from(("start", "end")),
    st.sampled_from(("keep", "replace", "reject")),
    st.sampled_from((None, None, MINUTE)),
    st.sampled_from((None, None, MINUTE)),
    st.sampled_from((None, None, 21 * SECOND)),
)
afters = st.builds(
    After,
    st.lists(ids, max_size=3).map(tuple),
    st.sampled_from(("fail", "skip", "continue")),
    st.sampled_from((False, False, True)),
)
definitions = st.builds(
    QueueDefinition,
    queues,
    weight=st.integers(1, 3),
    lease=st.sampled_from((None, None, MINUTE)),
    concurrency=st.sampled_from((None, None, None, 1, 3)),
    worker_concurrency=st.sampled_from((None, None, None, 1)),
    rate=st.sampled_from((None, None, None, Rate(1, 20 * SECOND, 2), Rate(7, MINUTE, 3))),
    capacity=st.sampled_from((None, None, None, 2, 5)),
)


@st.composite
def tasks(draw: st.DrawFn) -> NewTask:
    """A task of which most fields are plain, so that what differs can meet."""
    options: dict[str, Any] = {
        "queue": draw(queues),
        "task_type": draw(st.sampled_from(("work", "work", "mail"))),
        "payload": draw(st.sampled_from((b"{}", b"\x00\xff"))),
        "priority": draw(st.sampled_from((5, 5, 0, 10))),
        "max_attempts": draw(st.integers(1, 3)),
        "tags": draw(st.sampled_from(((), (), ("t", "u")))),
        "retention": draw(st.sampled_from((Retention(), Retention(MINUTE, NO_TIME, None)))),
        "unique": draw(st.none() | unique_keys),
        "limit": draw(st.none() | st.builds(Limit, st.just("k"), st.integers(1, 2))),
        "after": draw(st.none() | st.none() | afters),
    }
    when = draw(st.sampled_from(("now", "now", "now", "delay", "run_at")))
    if when == "delay":
        options["delay"] = draw(later)
    elif when == "run_at":
        options["run_at"] = draw(instants)
    if draw(st.integers(0, 4)) == 0:
        options["expires_at"] = draw(instants)
    return new_task(draw(ids), **options)


batches = st.lists(tasks(), min_size=1, max_size=3)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Completed, st.none() | st.just(b"result")),
    st.builds(Failed, errors),
    st.builds(Retried, errors, later, st.booleans()),
    st.builds(Cancelled, reasons),
    st.builds(Snoozed, later, reasons),
    st.builds(Waiting, st.lists(ids, max_size=3).map(tuple)),
    st.builds(Released),
)
