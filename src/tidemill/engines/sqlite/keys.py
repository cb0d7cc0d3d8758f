"""Unique keys: who holds one, and until when (rule 2)."""

import msgspec

from tidemill.clock import micros
from tidemill.engines.sqlite.rows import COMPLETED, Row, extra_from
from tidemill.engines.sqlite.statements import one, run, statement
from tidemill.engines.sqlite.step import Step

_holder = msgspec.json.Decoder(tuple[str, int | None]).decode


def key_holder(step: Step, queue: int, key: str) -> Row | None:
    """The task that holds a key now."""
    text = one(step.on, "key_holder", (queue, key))
    if text is None:
        return None
    holder, until = _holder(text)
    if until is not None and until <= step.now:
        return None
    step.load([holder])
    return step.row(holder)


def hold_key(step: Step, queue: int, key: str, holder: str, until: int | None) -> None:
    """Give a key to a task; `until` is an instant, None when its start or end frees it."""
    step.on.execute(statement("key_hold"), (queue, key, bytes.fromhex(holder), until))


def leave_key(step: Step, row: Row, state: int) -> None:
    """Free the key of a task that ends, unless it keeps it for a while longer."""
    rules = extra_from(row.extra).key_rules
    raw = bytes.fromhex(row.key)
    if rules.cached is not None and state == COMPLETED:
        until = step.now + micros(rules.cached)
        step.on.execute(statement("key_cache"), (until, row.queue, row.unique_key, raw, step.now))
    elif rules.lasting is None:
        run(step.on, "key_free", [(row.queue, row.unique_key, raw)])
