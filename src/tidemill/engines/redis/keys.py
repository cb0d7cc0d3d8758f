"""Every key name, in one place: for Python and, rendered into the prelude, for the scripts.

A key is a root and one of these names; those that end in `:` are followed by what they are about.
The root is `<prefix>:` where all queues share a server, and `<prefix>:{<queue>}:` on a cluster,
where the braces put all keys of one queue into one slot.
"""

import re

NAMES = {
    "meta": "meta",
    "known": "known",
    "ledger": "ledger",
    "feed": "feed",
    "queues": "queues",
    "ready": "ready",
    "lanes": "lanes",
    "counts": "counts",
    "lane": "lane:",
    "task": "task:",
    "logs": "logs:",
    "attempts": "attempts:",
    "due": "due",
    "expiring": "expiring",
    "leases": "leases",
    "prune": "prune",
    "dlq": "dlq:",
    "unique": "unique:",
    "slots": "slots:",
    "line": "line:",
    "waits": "waits:",
    "parents": "parents:",
    "claims": "claims:",
    "marks": "marks",
    "fires": "fires:",
    "ended": "ended",
    "tallies": "tallies:",
    "stretches": "stretches:",
    "totals": "totals:",
    "documents": "documents:",
    "outbox": "outbox",
    "index": "index:",
    "indexed": "indexed",
}

GROUP = "tidemill"
"""The consumer group of every lane; its consumers are the workers."""


def lua_names(source: str) -> str:
    """The names that a script uses: `KEY`, whole keys under the root that KEYS[1] is."""
    used = dict.fromkeys(re.findall(r"\bKEY\.(\w+)", source))
    fields = ", ".join(f"{name} = ROOT .. '{NAMES[name]}'" for name in used)
    return f"local ROOT = KEYS[1]\nlocal KEY = {{{fields}}}\nlocal GROUP = '{GROUP}'"


DIRECTORY = "/"
"""Stands for a queue (no queue can have this name): what a cluster keeps beside its queues."""


def root(prefix: str, queue: str | None = None) -> str:
    """The root of all keys, or of one queue's keys on a cluster."""
    return f"{prefix}:" if queue is None else f"{prefix}:{{{queue}}}:"


def channel(prefix: str) -> str:
    """Where scripts publish the queues that got something to claim."""
    return f"{prefix}:ready"
