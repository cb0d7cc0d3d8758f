"""The application: declaring task types, enqueueing, and handles."""

from tidemill.app.function import Call, Partial, TaskFunction
from tidemill.app.handle import BlockingHandle, Handle
from tidemill.app.options import Options
from tidemill.app.tidemill import Middleware, Tidemill

__all__ = [
    "BlockingHandle",
    "Call",
    "Handle",
    "Middleware",
    "Options",
    "Partial",
    "TaskFunction",
    "Tidemill",
]
