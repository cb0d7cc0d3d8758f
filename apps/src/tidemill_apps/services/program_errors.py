"""What the failure of a program that we run means for a task: give up, or try again.

Programs tell it by their exit code and in English on standard error: run them with `LC_ALL=C`. As
in `errors`, `Permanent` is for what the next attempt would meet again, `Unavailable` for the rest.
"""

import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from tidemill import Permanent
from tidemill_apps.services.errors import Unavailable

GIT_PASSING: Final = re.compile(
    r"Could not resolve host|Failed to connect|Connection (timed out|refused|reset)|timed out"
    r"|early EOF|The remote end hung up|RPC failed|unexpected disconnect"
    r"|returned error: (429|5\d\d)|\.lock': File exists"
    r"|No space left on device|Cannot allocate memory|Disk quota exceeded"
)
"""What git says of networks, of a repository that another process holds, and of full machines."""

GIT_PERMANENT: Final[Mapping[str, str]] = {
    r"Authentication failed|could not read (Username|Password)|Permission denied \(": "auth_failed",
    r"Invalid username or": "auth_failed",
    r"returned error: 403|transport '.*' not allowed|protocol '.*' is not supported": "forbidden",
    r"certificate|Host key verification failed": "untrusted",
    r"repository '.*' (not found|does not exist)|returned error: 404": "not_found",
    r"does not appear to be a git repository|not a git repository": "not_found",
    r"Remote branch .* not found|couldn't find remote ref|unknown revision": "not_found",
    r"bad object|is corrupt|object file .* is empty|invalid sha1 pointer": "corrupt",
    r"already exists and is not an empty directory": "conflict",
}
"""What git says of what stays; the first that occurs decides."""

FFMPEG_PASSING: Final = re.compile(
    r"Connection (timed out|refused|reset)|Network is unreachable|Temporary failure in name"
    r"|Server returned (429|5XX|5\d\d)|Input/output error|No space left on device"
    r"|Cannot allocate memory|Resource temporarily unavailable|Disk quota exceeded"
)
"""What ffmpeg says of networks and of full machines."""

FFMPEG_PERMANENT: Final[Mapping[str, str]] = {
    r"Server returned 40[13]": "forbidden",
    r"Server returned 4(04|10)|No such file or directory": "not_found",
    r"Permission denied": "forbidden",
    r"Invalid data found when processing input|moov atom not found": "corrupt",
    r"(Encoder|Decoder|Filter|Demuxer|Muxer|Protocol|Option) not found": "not_supported",
    r"Unable to choose an output format": "not_supported",
    r"Invalid argument|Unrecognized option|matches no streams": "bad_request",
}
"""What ffmpeg says of what stays; the first that occurs decides."""

_LONGEST_REASON: Final = 1000


def git_error(code: int, said: str) -> Permanent | Unavailable:
    """The error for a git that ended with an exit code other than 0, and said this.

    An unknown failure passes: most of git's come from what is between it and the repository.
    """
    if GIT_PASSING.search(said) or code < 0:
        return _passing("git", code, said)
    kind = "bad_request" if code == 129 else _kind(GIT_PERMANENT, said)  # 129: wrong usage
    return Permanent(_reason("git", code, said), code=kind) if kind else _passing("git", code, said)


def ffmpeg_error(code: int, said: str) -> Permanent | Unavailable:
    """The error for an ffmpeg that ended with an exit code other than 0, and said this.

    An unknown failure stays: the same input meets the same decoder again.
    """
    if FFMPEG_PASSING.search(said) or code < 0:
        return _passing("ffmpeg", code, said)
    kind = _kind(FFMPEG_PERMANENT, said) or "ffmpeg_failed"
    return Permanent(_reason("ffmpeg", code, said), code=kind)


def _kind(known: Mapping[str, str], said: str) -> str | None:
    return next((kind for pattern, kind in known.items() if re.search(pattern, said)), None)


def _passing(program: str, code: int, said: str) -> Unavailable:
    name = f"killed_{-code}" if code < 0 else str(code)
    return Unavailable(_reason(program, code, said), f"{program}_{name}")


def _reason(program: str, code: int, said: str) -> str:
    """What it said last, and how it ended; without passwords of URLs."""
    ended = f"ended with {code}"
    if code < 0:
        ended = f"was ended by signal {-code}"
        with suppress(ValueError):
            ended = f"was ended by {signal.Signals(-code).name}"
    told = re.sub(r"://[^/@\s]+@", "://***@", said).strip()
    return f"{program} {ended}: {told[-_LONGEST_REASON:]}" if told else f"{program} {ended}"
