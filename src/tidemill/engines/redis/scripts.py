"""The scripts: a shared prelude and one verb each, joined into what a server runs."""

from functools import cache
from hashlib import sha1
from importlib.resources import files

import msgspec

from tidemill.engines.redis.keys import lua_names

PRELUDE = (
    "keys",
    "ledger",
    "records",
    "feed",
    "lanes",
    "unique",
    "search",
    "states",
    "limits",
    "children",
    "plain",
    "produce",
    "save",
)
"""The files of the prelude, in the order in which they build on each other."""


class Script(msgspec.Struct, frozen=True):
    """One script as a server keeps it: its source, and the SHA-1 of it that calls it.

    `repeatable`: a call whose answer was lost answers the same when it is made again.
    `writes`: it changes something, so that replicas and disk have something to confirm.
    """

    name: str
    source: str
    sha: str
    repeatable: bool = True
    writes: bool = True


@cache
def script(name: str, *, repeatable: bool = True, writes: bool = True) -> Script:
    """The script of a verb."""
    folder = files(__package__) / "scripts"
    parts = [lua_names()]
    parts += [(folder / "prelude" / f"{part}.lua").read_text("utf-8") for part in PRELUDE]
    parts.append((folder / f"{name}.lua").read_text("utf-8"))
    source = "\n".join(parts)
    sha = sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha, repeatable, writes)
