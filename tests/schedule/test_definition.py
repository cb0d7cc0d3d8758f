"""What may stand in a schedule, and its form as a document."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.schedule.samples import NOW, TEMPLATE, schedule, timing
from tidemill.errors import InvalidSchedule
from tidemill.schedule import Every, Misfire, Overlap, decode, encode
from tidemill.task import Limit, NewTask, UniqueKey

HOURLY = Every(timedelta(hours=1))


def template(**options: Any) -> NewTask:
    return msgspec.structs.replace(TEMPLATE, **options)


@pytest.mark.parametrize(
    ("options", "field", "reason"),
    [
        ({"name": ""}, "name", "its name is not 1 to 200 of the characters"),
        ({"name": "a b"}, "name", "schedule 'a b': its name"),
        ({"starts_at": NOW, "ends_at": NOW}, "ends_at", "which is not after its start"),
        ({"misfire_limit": 0}, "misfire_limit", "misfire_limit is 1 to 1000, not 0"),
        ({"misfire_limit": 1_001}, "misfire_limit", "not 1001"),
        ({"grace": -timedelta(seconds=1)}, "grace", "grace is how late an instant may be"),
        ({"expires": timedelta()}, "expires", "a task expires some time after its instant"),
        ({"task": template(id="x")}, "task", "each task that it fires gets its own"),
        ({"task": template(delay=timedelta(1))}, "task", "the timing says when tasks run"),
        ({"task": template(run_at=NOW)}, "task", "the timing says when tasks run"),
        ({"task": template(expires_at=NOW)}, "task", "use expires, which counts from each"),
        (
            {"task": template(unique=UniqueKey("k")), "overlap": Overlap.SKIP},
            "overlap",
            "overlap skip needs the place of the task's own unique key",
        ),
        (
            {"task": template(limit=Limit("k", 3)), "overlap": Overlap.QUEUE},
            "overlap",
            "overlap queue needs the place of the task's own limit",
        ),
        ({"since": datetime(2026, 1, 1)}, "since", "since 2026-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"timing": Every(timedelta())}, "period", "one second at least"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(
    options: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        schedule(**({"timing": HOURLY} | options))
    assert caught.value.field == field
    assert reason in str(caught.value)


def test_a_tasks_own_key_and_limit_go_with_the_policies_that_leave_them_alone() -> None:
    keyed, limited = template(unique=UniqueKey("k")), template(limit=Limit("k", 3))
    assert schedule(HOURLY, task=keyed, overlap=Overlap.QUEUE).task == keyed
    assert schedule(HOURLY, task=limited, overlap=Overlap.SKIP).task == limited


def test_instants_are_kept_in_utc() -> None:
    there = datetime(2026, 1, 1, 8, tzinfo=ZoneInfo("Asia/Shanghai"))
    made = schedule(HOURLY, since=there, starts_at=there, ends_at=NOW)
    assert (made.since, made.since.tzinfo) == (datetime(2026, 1, 1, tzinfo=UTC), UTC)
    assert made.starts_at is not None
    assert made.starts_at.tzinfo is UTC


def test_a_schedule_is_read_back_as_it_was_written() -> None:
    random = Random(3)
    for _ in range(100):
        made = schedule(
            timing(random),
            misfire=random.choice(list(Misfire)),
            overlap=random.choice(list(Overlap)),
            starts_at=random.choice([None, NOW]),
            expires=random.choice([None, timedelta(hours=1)]),
            changed=("timing", "paused"),
            paused=True,
            declared=True,
        )
        assert decode(encode(made)) == made


def test_a_document_does_not_show_the_payload() -> None:
    body = encode(schedule(HOURLY, task=template(payload=b"a secret text")))
    assert b"secret" not in body
    assert decode(body).task.payload == b"a secret text"


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    body = encode(schedule(HOURLY))
    assert decode(body[:-1] + b',"colour":"blue"}') == schedule(HOURLY)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"name":1}', b"\xff"])
def test_what_is_no_schedule_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidSchedule, match="the stored definition cannot be read"):
        decode(body)
