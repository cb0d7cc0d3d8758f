"""The scripts: one file for each verb, and the parts of the prelude that it needs.

A file names what it needs in its first line, `-- needs: lanes feed`. A script is all of that, each
part once and after what it needs itself: what a call does not use would cost it some microseconds.
"""

from collections.abc import Iterator
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Final

import msgspec

from tidemill.engines.redis.keys import lua_names

_NEEDS: Final = "-- needs: "

_INNER: Final = {f"prelude/{name}.lua" for name in ("lanes", "states", "produce")}
"""Parts that stand, with all that follows them, in a function inside what stands before them. Where
a hundred functions share their names beside each other, Lua seeks each name one by one: a claim of
one task took 12 us longer. A function for every part takes longer again."""

_INSIDE: Final = "return (function()"


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
    composed = "\n".join(_composed(f"{name}.lua", set()))
    source = f"{lua_names(composed)}\n{composed}" + "\nend)()" * composed.count(_INSIDE)
    sha = sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha, repeatable, writes)


def _composed(path: str, there: set[str]) -> Iterator[str]:
    """A file after all that it needs and that is not there yet."""
    there.add(path)
    text = (files(__package__) / "scripts" / path).read_text("utf-8")
    first, _, _ = text.partition("\n")
    needed = first.removeprefix(_NEEDS).split() if first.startswith(_NEEDS) else []
    for name in needed:
        part = f"prelude/{name}.lua"
        if part not in there:
            yield from _composed(part, there)
    if path in _INNER:
        yield _INSIDE
    yield text
