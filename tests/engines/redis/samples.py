"""Scripts that do what a test needs, and a link that is closed at its end."""

import contextlib
import hashlib
from collections.abc import AsyncIterator

from tidemill.engines.redis.address import parse
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.scripts import Script

ROOT = "tidemill:{q}:"


def script(source: str, *, repeatable: bool = True, writes: bool = True) -> Script:
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script("sample", source, sha, repeatable, writes)


ECHO = script("return {KEYS[1], unpack(ARGV)}", writes=False)
COUNT = script("return redis.call('INCR', KEYS[1] .. 'n')", repeatable=False)
COUNT_AGAIN = script("return redis.call('INCR', KEYS[1] .. 'n')")


@contextlib.asynccontextmanager
async def linked(url: str) -> AsyncIterator[Link]:
    link = Link(parse(url))
    try:
        yield link
    finally:
        await link.close()
