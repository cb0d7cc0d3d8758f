"""The retries of the mailroom's tasks, by what went wrong: the table of the specification.

| what | policy | attempts after the first | waits |
| --- | --- | --- | --- |
| a connection breaks, a server takes too long or is down | `NETWORK_TIMEOUT` | 3 | 1, 2, 4 s |
| it is not allowed (`Permanent`, which no policy repeats) | `PERMISSION` | 0 | |
| the database is locked or gone | `DATABASE_LOCKED` | 5 | 1 s each |
| the AI provider is down | `AI_UNAVAILABLE` | 2 | 5, 10 s, then offline (`OUTAGE`) |
| passages cannot be embedded (`EMBEDDING`) | | 199 | 5, 10, 20 s … 10 min: more than a day |
"""

from datetime import timedelta
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tidemill import NEVER, RetryPolicy, RetryRule, exponential, fixed, linear
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.text.openai_compatible import AIOutputInvalid
from tidemill_apps.services.text.routing import OutagePolicy

NETWORK_TIMEOUT: Final = RetryRule(4, exponential(1, cap=60, jitter=True))
PERMISSION: Final = NEVER
DATABASE_LOCKED: Final = RetryRule(6, fixed(1))
AI_UNAVAILABLE: Final = RetryRule(3, linear(5))
OUTAGE: Final = OutagePolicy(retries=2, then="degrade", patience=timedelta(seconds=40))

_DATABASE: Final = {
    OperationalError: DATABASE_LOCKED,
    PoolTimeout: DATABASE_LOCKED,
    DBAPIError: DATABASE_LOCKED,
}
_NETWORK: Final = {
    ConnectionError: NETWORK_TIMEOUT,
    TimeoutError: NETWORK_TIMEOUT,
    Unavailable: NETWORK_TIMEOUT,
    PermissionError: PERMISSION,
}

SYNCING: Final = RetryPolicy(4, exponential(1, cap=60, jitter=True), on={**_NETWORK, **_DATABASE})
"""Of tasks that talk to mail servers and vector stores."""

ANALYSING: Final = RetryPolicy(
    4,
    exponential(1, cap=60, jitter=True),
    on={
        **_NETWORK,
        **_DATABASE,
        Unavailable: AI_UNAVAILABLE,
        AIOutputInvalid: AI_UNAVAILABLE,
    },
)
"""Of tasks that ask an AI provider, where `Unavailable` is the provider's word."""

EMBEDDING: Final = RetryPolicy(200, exponential(5, cap=600, jitter=True))
"""Of tasks without which a mail would not be found: they outlast an outage of a day."""
