"""Claim and extend: rules 3 and 5."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from tidemill.clock import micros
from tidemill.engine import ClaimRequest, Extension, Hold
from tidemill.engines.sqlite.feedbook import CODE_OF
from tidemill.engines.sqlite.lanes import Place, Want, first
from tidemill.engines.sqlite.queues import NO_LIMIT, Queue
from tidemill.engines.sqlite.rows import (
    PENDING,
    RUNNING,
    Row,
    claim_bytes,
    extra_from,
    id_of,
    raw_of,
)
from tidemill.engines.sqlite.statements import one, run, statement
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import expire
from tidemill.rotation import Turn, share
from tidemill.task import Claim, ClaimRef, UniqueKey

CLAIM_MEMORY: Final = timedelta(minutes=61)
_FORGET_EVERY = 64


class _Taken(msgspec.Struct, frozen=True, array_like=True):
    """A claimed task: the columns of `taken.sql`."""

    seq: int
    key: str
    queue: int
    type: int
    priority: int
    due: int
    payload: str | None
    attempt: int
    attempt_limit: int
    max_attempts: int
    token: int
    alone: int
    crashes: int
    started: int
    user_id: str | None
    project_id: str | None
    parent_id: str | None
    unique_key: str | None
    extra: str

    @property
    def place(self) -> tuple[int, int, str]:
        return (-self.priority, self.due, self.key)


_taken = msgspec.json.Decoder(list[_Taken]).decode
_held = msgspec.json.Decoder(list[tuple[int, Row]]).decode


def claim(step: Step, request: ClaimRequest) -> list[Claim]:
    """Take ready tasks exclusively, or answer again what the claim id took."""
    raw = claim_bytes(request.claim_id)
    if one(step.on, "claim_find", (raw,)):
        held = _read(step, one(step.on, "held_seqs", (raw,)), raw)
        return [_claim(step, row, request) for row in held]
    chosen = _choose(step, request)
    seqs = f"[{','.join(str(seq) for group in chosen.values() for seq in group)}]"
    step.on.execute(statement("claim_add"), (raw, step.now))
    if step.on.last_insert_rowid() % _FORGET_EVERY == 0:
        step.on.execute(statement("claim_forget"), (step.now - micros(CLAIM_MEMORY),))
    if not chosen:
        return []
    worker = step.ledger.worker(step.on, request.worker)
    for lease, group in _by_lease(step, chosen, micros(request.lease)).items():
        part = f"[{','.join(map(str, group))}]"
        step.on.execute(statement("take"), (part, raw, worker, step.now, step.now + lease))
    taken = _read(step, seqs, raw)
    _account(step, taken)
    return [_claim(step, row, request) for row in taken]


def _choose(step: Step, request: ClaimRequest) -> dict[int, list[int]]:
    """The tasks to take, by queue, after cancelling the expired ones that are in the way."""
    ledger = step.ledger
    names = sorted(ledger.queues) if request.queues is None else sorted(set(request.queues))
    queues = [ledger.queues[name] for name in names if name in ledger.queues]
    queues = [queue for queue in queues if not queue.paused]
    gives = _gives(step, request, queues) if ledger.limited else {}
    queues = [queue for queue in queues if gives.get(queue.code, 1)]
    types = [ledger.types[name] for name in request.task_types if name in ledger.types]
    if not queues or not types or request.limit <= 0:
        return {}
    while one(step.on, "expired_pending", (step.now,)):
        candidates = _candidates(step, request, queues, types, {})
        expired = [
            place[2]
            for places in candidates.values()
            for place in places
            if place[4] is not None and place[4] <= step.now
        ]
        if not expired:
            ready = {code: len(places) for code, places in candidates.items()}
            return _shared(step, request, queues, types, ready, gives)
        step.load(expired)
        for key in expired:
            row = step.row(key)
            if row is not None and row.state == PENDING:
                expire(step, row)
        step.flush()
    ready = _countable(step, request, queues, types)
    return _shared(step, request, queues, types, ready, gives)


def _gives(step: Step, request: ClaimRequest, queues: Sequence[Queue]) -> dict[int, int]:
    """How many tasks each queue may give that has limits of its own."""
    pending = step.ledger.by_queue(step.on, PENDING)
    running = step.ledger.by_queue(step.on, RUNNING)
    return {
        queue.code: queue.gives(
            running.get(queue.code, 0), _of_worker(step, request, queue), step.now
        )
        for queue in queues
        if queue.limited and pending.get(queue.code)
    }


def _of_worker(step: Step, request: ClaimRequest, queue: Queue) -> int:
    if queue.worker_concurrency is None:
        return 0
    worker = step.ledger.worker(step.on, request.worker)
    return int(one(step.on, "running_of", (queue.code, worker)))


def _countable(
    step: Step, request: ClaimRequest, queues: Sequence[Queue], types: Sequence[int]
) -> dict[int, int]:
    """How many candidates each queue has, from the counts alone."""
    counts = step.ledger.counts(step.on)
    return {
        queue.code: min(
            request.limit, sum(counts.get((queue.code, kind, PENDING, 0), 0) for kind in types)
        )
        + min(request.alone, sum(counts.get((queue.code, kind, PENDING, 1), 0) for kind in types))
        for queue in queues
    }


def _shared(
    step: Step,
    request: ClaimRequest,
    queues: Sequence[Queue],
    types: Sequence[int],
    ready: dict[int, int],
    gives: dict[int, int],
) -> dict[int, list[int]]:
    """Share the request between queues, and find what each gives."""
    ledger = step.ledger
    turns = {
        queue.name: Turn(
            queue.passed, queue.weight, min(ready[queue.code], gives.get(queue.code, NO_LIMIT))
        )
        for queue in queues
        if ready.get(queue.code)
    }
    if not turns:
        return {}
    rotated = max(queue.served for queue in ledger.queue_of.values())
    shares = share(turns, rotated, request.limit)
    for name, passed in shares.passed.items():
        queue = ledger.queues[name]
        queue.passed, queue.served = passed, shares.now
        ledger.change(queue)
    for name, count in shares.take.items():
        ledger.queues[name].started(count, step.now)
    takes = {ledger.queues[name].code: count for name, count in shares.take.items()}
    places = _candidates(step, request, queues, types, takes)
    return {code: [place[3] for place in places[code][:count]] for code, count in takes.items()}


def _candidates(
    step: Step,
    request: ClaimRequest,
    queues: Sequence[Queue],
    types: Sequence[int],
    takes: dict[int, int],
) -> dict[int, list[Place]]:
    """The candidates of each queue in claim order; with `takes`, only as many as will be taken."""
    counts = step.ledger.counts(step.on)
    wants = []
    for queue in queues:
        for alone, limit in ((0, request.limit), (1, request.alone)):
            most = min(limit, takes.get(queue.code, 0)) if takes else limit
            present = tuple(t for t in types if counts.get((queue.code, t, PENDING, alone), 0))
            if present and most > 0:
                wants.append(Want(queue.code, alone, present, most))
    found: dict[int, list[Place]] = {}
    for want, places in zip(wants, first(step.on, wants), strict=True):
        found.setdefault(want.queue, []).extend(places)
    return {code: sorted(places) for code, places in found.items()}


def _by_lease(step: Step, chosen: dict[int, list[int]], asked: int) -> dict[int, list[int]]:
    leases: dict[int, list[int]] = {}
    for code, seqs in chosen.items():
        leases.setdefault(step.ledger.queue_of[code].lease or asked, []).extend(seqs)
    return leases


def _read(step: Step, seqs: str, raw: bytes) -> list[_Taken]:
    taken = _taken(one(step.on, "taken", (seqs, raw)))
    return sorted(taken, key=lambda row: row.place)


def _account(step: Step, taken: Iterable[_Taken]) -> None:
    """Count the moves, tell the feed, and free the keys that were held until the start."""
    ledger, cause, entries, freed = step.ledger, CODE_OF["claimed"], [], []
    for row in taken:
        raw = bytes.fromhex(row.key)
        ledger.add((row.queue, row.type, PENDING, row.alone), -1)
        ledger.add((row.queue, row.type, RUNNING, 0), 1)
        entries.append((cause, raw, row.type, row.queue, RUNNING, row.attempt))
        if row.unique_key is not None and _until_start(extra_from(row.extra).key_rules):
            freed.append((row.queue, row.unique_key, raw))
    step.tell_claimed(entries)
    if freed:
        run(step.on, "key_free", freed)


def _until_start(unique: UniqueKey) -> bool:
    return unique.until == "start" and unique.lasting is None


def _claim(step: Step, row: _Taken, request: ClaimRequest) -> Claim:
    extra = extra_from(row.extra)
    payload = (
        one(step.on, "body", (row.seq,)) if row.payload is None else bytes.fromhex(row.payload)
    )
    queue = step.ledger.queue_of[row.queue].name
    return Claim(
        ref=ClaimRef(id_of(row.key), row.token, request.claim_id, queue),
        task_type=step.ledger.type_names[row.type],
        queue=queue,
        priority=row.priority,
        payload=payload,
        attempt=row.attempt,
        attempt_limit=row.attempt_limit,
        max_attempts=row.max_attempts,
        alone=bool(row.alone),
        crashes=row.crashes,
        waited=timedelta(microseconds=max(0, row.started - row.due)),
        timeout=extra.timeout,
        soft_timeout=extra.soft_timeout,
        user_id=row.user_id,
        project_id=row.project_id,
        tags=extra.tags,
        parent_id=row.parent_id,
        headers=extra.headers,
    )


def claimed(step: Step, name: str, refs: Iterable[ClaimRef]) -> dict[int, str]:
    """Which claims a fencing statement lets through: their numbers, and their rows' keys."""
    given = [
        (n, raw, ref.token, claim_bytes(ref.claim_id))
        for n, ref in enumerate(refs)
        for raw in (raw_of(ref.task_id),)
        if raw is not None
    ]
    found: dict[int, str] = {}
    for text in run(step.on, name, given):
        rows = _held(text)
        step.adopt([row for _, row in rows])
        found.update((n, row.key) for n, row in rows)
    return found


def extend(step: Step, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
    """Renew held leases and record what the attempts reported."""
    held = claimed(step, "held_by", (extension.claim for extension in extensions))
    renewed, answers = [], []
    for n, extension in enumerate(extensions):
        row = step.row(held[n]) if n in held else None
        if row is None:
            answers.append(Hold.LOST)
            continue
        own = step.ledger.queue_of[row.queue].lease
        renewed.append((row.seq, step.now + (own or micros(lease))))
        step.report(row.seq, extension.progress, extension.logs)
        if extension.progress is not None:
            step.tell(row, "progress", extension.progress)
        answers.append(Hold.CANCEL if row.cancelling else Hold.HELD)
    if renewed:
        run(step.on, "extend", renewed)
    return answers
