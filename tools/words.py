"""The words of Tidemill: one per concept, and what is never said instead (see CONTRIBUTING.md).

A forbidden word is forbidden in every form: `fetch` covers `fetched` and `Fetcher`.
"""

FORBIDDEN = {
    "ack": "settle",
    "acknowledge": "settle",
    "acquire": "claim",
    "archive": "failed",
    "backend": "engine",
    "beat": "schedule, or heartbeat as one word",
    "broker": "engine",
    "dead": "failed",
    "dequeue": "claim",
    "discard": "failed",
    "driver": "engine",
    "execution": "task, or attempt for one run of it",
    "fetch": "claim",
    "hook": "event",
    "job": "task",
    "periodic": "schedule",
    "reap": "reclaim",
    "rescue": "reclaim",
    "topic": "queue",
    "tries": "attempts",
    "visibility": "lease",
}

SEAM_FORBIDDEN = {
    "finish": "settle",
    "push": "enqueue",
    "refresh": "extend",
    "store": "engine",
    "touch": "extend",
}
"""Forbidden in this form only, in the files of the storage seam: elsewhere plain English."""

SEAM = ("src/tidemill/engine.py", "src/tidemill/engines/")

UNCHECKED = {
    "actor": "the audit names who acted",
    "args": "what a Python call site has",
    "handler": "an exception or route handler of a library; a task type has no handler class",
    "insert": "what SQL does to a row; a task is enqueued",
    "kwargs": "what a Python call site has",
    "lock": "threading.Lock and asyncio.Lock are locks; the right to run a task is a lease",
    "log": "tasks write logs; the engine's journal is the feed",
    "message": "the text of an error or of a progress report, or an email",
    "outbox": "relays enqueues across engines",
    "send": "sockets and emails are sent; a task is enqueued",
    "signal": "SIGTERM; what happened is an event",
    "stream": "output streams and Redis Streams",
    "worker": "the process that runs tasks; what `@app.task` declares is a task type",
}
"""Words with an honest second sense: which one is meant is judged in review."""

ALLOWED_NAMES = {
    "dec_hook": "msgspec's name for the function that decodes foreign types",
    "enc_hook": "msgspec's name for the function that encodes foreign types",
}
"""Whole identifiers that somebody else named."""

ALLOWED_UNDER = {
    "apps/": {
        "archive": "emails and pages are archived by their users",
        "dead": "a link checker finds dead links",
        "driver": "a browser has a driver",
        "fetch": "web pages and feeds are fetched",
        "topic": "pages, articles and mails have topics",
    },
    "src/tidemill/integrations/django/": {
        "backend": "what Django calls whatever takes its tasks",
    },
}
"""Words of other subjects, allowed in the folders that are about them."""
