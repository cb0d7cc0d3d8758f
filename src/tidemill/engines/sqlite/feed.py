"""Reading the feed: rule 16."""

from typing import Any

import apsw
import msgspec

from tidemill.engine import FeedPage
from tidemill.engines.sqlite.feedbook import entries_from, transition
from tidemill.engines.sqlite.statements import one, statement

_ends = msgspec.json.Decoder(tuple[int | None, int | None, int | None]).decode


class _Names(msgspec.Struct):
    queues: dict[int, str]
    types: dict[int, str]


_names = msgspec.json.Decoder(_Names).decode


def feed(on: apsw.Connection, after: str | None, limit: int) -> FeedPage:
    """The part of the feed behind a cursor; a cursor is the number of entries before it."""
    oldest, end, _ = _ends(one(on, "feed_ends"))
    first, fed = oldest or 0, end or 0
    position = fed if after is None else int(after or first)
    start = max(position, first)
    if start >= fed or limit <= 0:
        return FeedPage(entries=(), cursor=str(start), cut=position < first)
    names = _names(one(on, "names"))
    entries = tuple(
        transition(entry, at, names.types, names.queues)
        for number, at, body in _lines(on, start, limit)
        for n, entry in enumerate(entries_from(body), start=number)
        if start <= n < start + limit
    )
    return FeedPage(entries=entries, cursor=str(start + len(entries)), cut=position < first)


def _lines(on: apsw.Connection, start: int, limit: int) -> list[tuple[int, int, bytes]]:
    rows: list[Any] = on.execute(statement("feed_rows"), (start, limit)).fetchall()
    return rows
