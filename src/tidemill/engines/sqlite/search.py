"""How a query is answered without looking at many more tasks than it finds.

There are several ways into the tasks: by id, by state, by type, by what only few tasks have in
common, by the time of enqueueing. The exact counts tell what each way would cost; the cheapest
is taken, and the rest of the filters is checked on the way.
"""

from typing import Any

import apsw
import msgspec

from tidemill.clock import to_micros
from tidemill.engine import TaskQuery
from tidemill.engines.sqlite.rows import CODES, PENDING, RUNNING, key_or_none
from tidemill.engines.sqlite.statements import as_json, one

_counts = msgspec.json.Decoder(list[tuple[str, int, str, int, int]]).decode
_place = msgspec.json.Decoder(tuple[int, int]).decode
_RARE = ("parent_id", "fingerprint", "user_id", "project_id")
_MOST_COUNTED = 10_000  # about 1 ms; more are taken for all that there are
_NEVER_BEFORE, _NEVER_AFTER = -(1 << 62), 1 << 62
_UNORDERED = {PENDING: "pending", RUNNING: "running"}


class Search(msgspec.Struct, frozen=True):
    """SQL that selects the `chosen` seqs of a page; `?1` is free, `?2` is the page's length."""

    sql: str
    values: list[Any]


class _Branch(msgspec.Struct, frozen=True):
    """One index to look into. `newest`: its entries follow the id, so that few are looked at."""

    source: str
    condition: str = "1"
    size: int = 0
    newest: bool = True
    place: str = "t.id"


class _Totals(msgspec.Struct):
    """How many tasks there are, by state and by type, and how many can match."""

    everything: int = 0
    matching: int = 0
    states: dict[int, int] = {}
    types: dict[int, int] = {}


class _Terms:
    """Conditions that every match fulfils, and the values bound to them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """One more condition, with `{}` for each value."""
        first = len(self.values) + 3
        self.values += values
        self.said.append(condition.format(*(f"?{first + n}" for n in range(len(values)))))


def search(on: apsw.Connection, query: TaskQuery) -> Search | None:
    """The search that answers a query; None when the counts say that nothing matches."""
    totals = _totals(on, query)
    if not totals.matching:
        return None
    terms = _Terms()
    _filter(query, terms)
    branches = _only_way(query, terms) or _cheapest_way(on, query, totals)
    where = " AND ".join(terms.said) or "1"
    parts = (
        f"SELECT chosen, place FROM (SELECT t.seq AS chosen, {branch.place} AS place "
        f"FROM {branch.source} WHERE {branch.condition} AND {where} "
        f"ORDER BY {branch.place} DESC LIMIT ?2)"
        for branch in branches
    )
    return Search(f"{' UNION ALL '.join(parts)} ORDER BY place DESC LIMIT ?2", terms.values)


def _totals(on: apsw.Connection, query: TaskQuery) -> _Totals:
    totals = _Totals(states={}, types={})
    wanted = {CODES[state] for state in query.states}
    for queue, kind, name, state, n in _counts(one(on, "counts_named")):
        totals.everything += n
        in_state = not wanted or state in wanted
        of_type = not query.task_types or name in query.task_types
        if in_state:
            totals.states[state] = totals.states.get(state, 0) + n
        if of_type:
            totals.types[kind] = totals.types.get(kind, 0) + n
        if in_state and of_type and (not query.queues or queue in query.queues):
            totals.matching += n
    return totals


def _filter(query: TaskQuery, terms: _Terms) -> None:
    """Say of each task what the query says, whichever way it is found."""
    if query.ids:
        keys = [key for task_id in query.ids if (key := key_or_none(task_id))]
        terms.add("t.id IN (SELECT unhex(value) FROM json_each({}))", as_json(keys))
    if query.states:
        terms.add(f"t.state IN ({','.join(str(CODES[state]) for state in query.states)})")
    for names, column in ((query.task_types, "type"), (query.queues, "queue")):
        if names:
            terms.add(
                f"t.{column} IN (SELECT code FROM tidemill_{column} "
                "WHERE name IN (SELECT value FROM json_each({})))",
                as_json(sorted(names)),
            )
    for tag in query.tags:
        terms.add("EXISTS (SELECT 1 FROM tidemill_tag WHERE tag = {} AND id = t.id)", tag)
    for column in _RARE:
        if (value := getattr(query, column)) is not None:
            terms.add(f"t.{column} = {{}}", value)
    if query.error_contains is not None:
        terms.add("t.fingerprint IS NOT NULL")
        terms.add("tidemill_error_contains(t.error, {})", query.error_contains.lower())
    if query.enqueued_from is not None:
        terms.add("t.enqueued_at >= {}", to_micros(query.enqueued_from))
    if query.enqueued_until is not None:
        terms.add("t.enqueued_at < {}", to_micros(query.enqueued_until))
    if query.before is not None:
        terms.add("t.id < {}", bytes.fromhex(key_or_none(query.before) or ""))


def _only_way(query: TaskQuery, terms: _Terms) -> list[_Branch]:
    """The way by what only few tasks have in common, if the query names such a thing."""
    if query.ids:
        return [_Branch("tidemill_task AS t")]
    for column in _RARE:
        if getattr(query, column) is not None:
            return [_indexed(column.removesuffix("_id"))]
    if query.tags:
        terms.add("g.tag = {}", query.tags[0])
        source = "tidemill_tag AS g CROSS JOIN tidemill_task AS t ON t.id = g.id"
        return [_Branch(source, place="g.id")]
    return []


def _cheapest_way(on: apsw.Connection, query: TaskQuery, totals: _Totals) -> list[_Branch]:
    ways = [[_indexed("id", size=totals.everything)]]
    if query.states:
        ways.append([_of_state(state, n) for state, n in totals.states.items()])
    if query.task_types:
        ways.append(
            [_indexed("type", f"t.type = {kind}", size=n) for kind, n in totals.types.items()]
        )
    if query.error_contains is not None:
        return [_indexed("fingerprint", newest=False)]
    share = 1.0
    if query.enqueued_from is not None or query.enqueued_until is not None:
        way = _by_time(on, query, totals)
        share = sum(branch.size for branch in way) / max(1, totals.everything)
        ways.append(way)
    matching = max(1.0, totals.matching * min(1.0, share))
    return min(ways, key=lambda way: sum(_cost(branch, query.limit, matching) for branch in way))


def _cost(branch: _Branch, limit: int, matching: float) -> float:
    """How many tasks are looked at, if those that match lie evenly among the others."""
    return min(branch.size, limit * branch.size / matching) if branch.newest else branch.size


def _indexed(name: str, condition: str = "1", *, size: int = 0, newest: bool = True) -> _Branch:
    source = f"tidemill_task AS t INDEXED BY tidemill_task_{name}"
    return _Branch(source, condition, size=size, newest=newest)


def _of_state(state: int, size: int) -> _Branch:
    name = _UNORDERED.get(state, "state")
    return _indexed(name, f"t.state = {state}", size=size, newest=state not in _UNORDERED)


def _by_time(on: apsw.Connection, query: TaskQuery, totals: _Totals) -> list[_Branch]:
    """The way to the tasks enqueued in the query's time, those that were restored apart."""
    first, behind = _window(on, query)
    window = f"t.seq >= {first} AND t.seq < {behind}"
    restored = int(one(on, "restored_within", (*_span(query), _MOST_COUNTED)))
    return [
        _Branch(
            "tidemill_task AS t NOT INDEXED", window, size=max(0, behind - first), newest=False
        ),
        _indexed(
            "restored",
            "t.seq < 0",
            size=restored if restored < _MOST_COUNTED else totals.everything,
            newest=False,
        ),
    ]


def _span(query: TaskQuery) -> tuple[int, int]:
    since, until = query.enqueued_from, query.enqueued_until
    return (
        _NEVER_BEFORE if since is None else to_micros(since),
        _NEVER_AFTER if until is None else to_micros(until),
    )


def _window(on: apsw.Connection, query: TaskQuery) -> tuple[int, int]:
    """The seqs of the tasks enqueued here in the query's time: they rise with `enqueued_at`."""
    since, until = query.enqueued_from, query.enqueued_until
    behind = int(one(on, "last_seq")) + 1
    return (
        0 if since is None else _first_since(on, to_micros(since), behind),
        behind if until is None else _first_since(on, to_micros(until), behind),
    )


def _first_since(on: apsw.Connection, instant: int, behind: int) -> int:
    low, high = 0, behind
    while low < high:
        middle = (low + high) // 2
        found = one(on, "at_or_after", (middle,))
        seq, enqueued_at = (behind, instant) if found is None else _place(found)
        if enqueued_at >= instant:
            high = middle
        else:
            low = seq + 1
    return low
