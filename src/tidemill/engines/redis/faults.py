"""What servers and connections report, as errors for the person who reads them."""

import re
import ssl
from enum import Enum
from typing import Final

from tidemill.engines.redis.address import Address, Place
from tidemill.errors import EngineError, EngineFull, EngineRefused, EngineUnavailable


class Remedy(Enum):
    """What to do about an error reply. Except for NONE, nothing was carried out."""

    LOAD = "send the script itself"
    MOVE = "ask the server that the reply names"
    AGAIN = "repeat soon: the server is busy with itself"
    ELSEWHERE = "connect anew and repeat: the server is no primary any more"
    NONE = "tell the caller"


# ASK is not followed: while a slot moves key by key, a script would find some of its keys here
# and some there. The root key that names a shard never exists, so that a server answers ASK
# before it runs anything, from the first key that leaves to the end of the move.
_REMEDIES: Final = {
    "NOSCRIPT": Remedy.LOAD,
    "MOVED": Remedy.MOVE,
    "ASK": Remedy.AGAIN,
    "LOADING": Remedy.AGAIN,
    "TRYAGAIN": Remedy.AGAIN,
    "CLUSTERDOWN": Remedy.AGAIN,
    "NOREPLICAS": Remedy.AGAIN,
    "BUSY": Remedy.AGAIN,
    "READONLY": Remedy.ELSEWHERE,
    "MASTERDOWN": Remedy.ELSEWHERE,
    "UNBLOCKED": Remedy.ELSEWHERE,
}
# Redis before 7: "ERR Error running script (call to f_…): @user_script:12: -OOM command not …"
_WRAPPED: Final = re.compile(
    r"ERR Error (?:running|compiling) script \([^)]*\): (?:@?user_script: ?\d+: )+-?(?=[A-Z]{2})"
)
# Inside a script they say so in another way than outside: Valkey and Redis 7.2, and those before.
_FORBIDDEN: Final = re.compile(r"ACL failure in script|The user executing the script can't")
_SCRIPT_PLACE: Final = re.compile(r" script: (?:\w+, )?on @\w+:\d+\.?$")


def _unwrapped(words: str) -> str:
    return _SCRIPT_PLACE.sub("", _WRAPPED.sub("", words))


class ErrorReply(Exception):
    """A server's own words: a first word that names the error, then a sentence."""

    def __init__(self, words: str = "") -> None:
        super().__init__(words)
        self.words = _unwrapped(words)
        self.code = "NOPERM" if _FORBIDDEN.search(words) else self.words.partition(" ")[0]
        self.remedy = _REMEDIES.get(self.code, Remedy.NONE)

    def moved(self) -> Place:
        """Who has the slot of a MOVED, as far as the server names it: the host may be empty."""
        host, _, port = self.words.rpartition(" ")[2].rpartition(":")
        return Place(host, int(port))


class Lost(Exception):
    """A connection could not be made or has ended; `sent` if the request may have been carried out.

    `reason` is a clause about the server: "it has not answered for 10 s".
    """

    def __init__(self, place: Place, reason: str, *, sent: bool) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason
        self.sent = sent
        self.remedy = Remedy.AGAIN


class Unconfirmed(Exception):
    """A primary carried a write out, and too few others confirmed it; `lack` is a clause."""

    def __init__(self, place: Place, lack: str) -> None:
        super().__init__(f"{place}: {lack}")
        self.place = place
        self.lack = lack


class ScriptRefusal(Exception):
    """What one of our scripts refused by `redis.error_reply("TIDEMILL <slug> <detail>")`."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug = slug
        self.detail = detail


def unavailable(location: str, fault: Lost | ErrorReply, *, what: str) -> EngineUnavailable:
    """`what` did not get through."""
    match fault:
        case Lost(place=place, reason=reason, sent=sent):
            happened = "may or may not have happened" if sent else "was not carried out"
            return EngineUnavailable(
                f"{location} cannot be reached ({place}: {reason}): {what} {happened}; "
                "it is safe to repeat"
            )
        case ErrorReply(words=words):
            return EngineUnavailable(
                f"{location} is not ready ({words}): {what} was not carried out; repeat it"
            )


def unconfirmed(location: str, lacking: Unconfirmed, *, what: str) -> EngineUnavailable:
    """`what` was carried out, but is not as safe as was asked for."""
    return EngineUnavailable(
        f"{location}: {what} was recorded by the primary, but {lacking.lack} "
        f"({lacking.place}); it is safe to repeat"
    )


def translated(
    address: Address, reply: ErrorReply, *, what: str, key: str | None
) -> EngineError | ScriptRefusal:
    """What a server refused for good; `key` is the one that `what` was about, if any."""
    location, words = address.location, reply.words
    about = f" on {key}" if key else ""
    match reply.code:
        case "TIDEMILL":
            _, slug, detail = [*words.split(" ", 2), "", ""][:3]
            return ScriptRefusal(slug, detail)
        case "OOM":
            return EngineFull(
                f"{location} has used up its memory: {what} changed nothing. Raise the server's "
                "maxmemory or prune finished tasks, then repeat it"
            )
        case "MISCONF":
            return EngineFull(
                f"{location} cannot write to its disk: {what} changed nothing. Free some space "
                f"there, then repeat it. The server says: {words}"
            )
        case "NOPERM":
            return EngineRefused(
                f"{location} does not allow its user to do {what}{about}: give the user "
                f"{rights(address.prefix)}. The server says: {words}"
            )
        case "WRONGTYPE":
            return EngineRefused(
                f"{location} holds something else where Tidemill keeps its own: {what}{about} "
                "was refused. Give Tidemill a prefix that nothing else uses (?prefix=…). "
                f"The server says: {words}"
            )
        case _:
            return EngineRefused(f"{location} refused {what}{about}: {words}")


def rights(prefix: str) -> str:
    """The rules of an ACL user that may do what Tidemill does, and touch no other keys.

    Without `+config|get` all works, but the durability level is only guessed.
    """
    return (
        f"~{prefix}:* resetchannels &{prefix}:* +@read +@write -@dangerous +eval +evalsha +time "
        "+publish +subscribe +ping +echo +select +client|setname +info +role +wait +config|get "
        "+cluster|slots"
    )


def refused_login(place: Place, address: Address, reply: ErrorReply) -> Lost | EngineRefused:
    """A server answered our greeting with an error."""
    words = reply.words
    if reply.remedy is not Remedy.NONE or "max number of clients" in words:
        return Lost(place, words, sent=False)
    if reply.code in {"NOAUTH", "WRONGPASS"} or "AUTH" in words or "invalid password" in words:
        return EngineRefused(
            f"{place} does not accept our user or password: check them in {address.location} "
            f"(a password alone is written redis://:password@…). The server says: {words}"
        )
    if "DB index" in words or "SELECT" in words:
        return EngineRefused(
            f"{place} has no database {address.db}: choose one below the server's `databases` "
            f"(on a cluster only 0). The server says: {words}"
        )
    return EngineRefused(f"{place} refused our connection: {words}")


def refused_connection(place: Place, error: OSError) -> Lost | EngineRefused:
    """A connection could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return EngineRefused(
            f"{place} shows a certificate that cannot be trusted ({error.verify_message}): name "
            "the authority's file with ?ca=… and the host as the certificate does"
        )
    if isinstance(error, ssl.SSLError):
        return EngineRefused(
            f"{place} does not agree on TLS ({error.reason}): is that its TLS port, and does it "
            "want a certificate of ours (?cert=…&key=…)?"
        )
    return Lost(place, error.strerror or str(error), sent=False)
