"""What a request may hold: sizes of bodies, and the values that a field can have."""

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

SMALL_BODY: Final = 64 * 1024
"""Bytes of a body that carries no payload."""

BULK_BODY: Final = 16 * 1024 * 1024
"""Bytes of a bulk submit."""

BESIDE_PAYLOAD: Final = 64 * 1024
"""Bytes that the other fields of a body may have beside its payload."""

MOST_IN_BULK: Final = 1_000
"""Tasks in one bulk submit."""

_CENTURY: Final = 100 * 366 * 86_400

FIRST_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Instants of a request lie between these, so that adding any duration to one stays a date."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,200}$", max_length=200)]
"""What names a queue, a task type or a schedule."""

Label = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
"""A user, a project, a tag: any short text. SQL stores cannot hold the character 0."""

Sentence = Annotated[str, Meta(max_length=1_000, pattern=r"^[^\x00]*$")]
Priority = Annotated[int, Meta(ge=0, le=10)]
Retries = Annotated[int, Meta(ge=0, le=10_000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Meta(ge=0, le=_CENTURY)]
TimeLimit = Annotated[float, Meta(gt=0, le=_CENTURY)]
Instant = Annotated[datetime, Meta(tz=True)]


def checked_instants(*instants: datetime | None) -> None:
    """Refuse instants too far away to be counted with; ValueError."""
    for each in instants:
        if each is not None and not FIRST_INSTANT <= each < LAST_INSTANT:
            raise ValueError(f"{each.isoformat()} is not between 1970 and 2200")
