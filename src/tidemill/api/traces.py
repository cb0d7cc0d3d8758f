"""The trace that a request belongs to, as headers of the tasks that it submits."""

import re
from typing import Final

from litestar.datastructures import Headers

from tidemill.app import Tidemill

PARENT, STATE = "traceparent", "tracestate"
_PARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MOST_STATE: Final = 512
"""Characters of a `tracestate`, as W3C Trace Context has a receiver carry on at least."""


def carried(app: Tidemill, headers: Headers) -> dict[str, str]:
    """The context of the request: of its span where this process traces, else as it came.

    A `traceparent` of another form than W3C Trace Context has is left out.
    """
    here = {} if app.tracing is None else dict(app.tracing.carried())
    parent = headers.get(PARENT, "")
    if here or not _PARENT.fullmatch(parent):
        return here
    state = headers.get(STATE, "")
    sound = 0 < len(state) <= _MOST_STATE and state.isascii() and state.isprintable()
    return {PARENT: parent, STATE: state} if sound else {PARENT: parent}
