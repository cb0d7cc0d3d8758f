"""Which mails of a folder a sync still has to fetch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

BATCH: Final = 50
"""Mails fetched and stored together."""


class FolderState(msgspec.Struct, frozen=True):
    """How far a folder is synced: all its mails up to `last_uid`, counted in `uidvalidity`."""

    uidvalidity: int
    last_uid: int


class Plan(msgspec.Struct, frozen=True):
    """The UIDs to fetch, rising, in batches; `from_start` when earlier UIDs mean nothing."""

    batches: tuple[tuple[int, ...], ...]
    from_start: bool


def first_unseen(state: FolderState | None, uidvalidity: int, *, full: bool = False) -> int:
    """The lowest UID that may still have to be fetched: 1 for a folder that begins anew.

    It does when it is new, when it counts anew (another UIDVALIDITY) and when a `full` sync is
    wanted; mails that are stored already are known by their keys, so that none comes twice.
    """
    return 1 if full or state is None or state.uidvalidity != uidvalidity else state.last_uid + 1


def plan(
    state: FolderState | None, uidvalidity: int, uids: Iterable[int], *, full: bool = False
) -> Plan:
    """What to fetch of the UIDs that the server answered.

    Those before `first_unseen` are dropped: a server that is asked for `UID 9:*` answers with its
    last mail also when that has a lower number (RFC 3501, 6.4.8).
    """
    first = first_unseen(state, uidvalidity, full=full)
    wanted = sorted({uid for uid in uids if uid >= first})
    batches = (tuple(wanted[at : at + BATCH]) for at in range(0, len(wanted), BATCH))
    return Plan(tuple(batches), from_start=first == 1)


def advanced(state: FolderState | None, uidvalidity: int, uid: int) -> FolderState:
    """The state once all mails up to `uid` are stored; it goes back only if the count began anew.

    A full sync that breaks off does not make the next ordinary one fetch all again.
    """
    if state is None or state.uidvalidity != uidvalidity:
        return FolderState(uidvalidity, uid)
    return FolderState(uidvalidity, max(uid, state.last_uid))


def requests(
    uids: Sequence[int], sizes: Mapping[int, int], *, most_bytes: int, at_once: int
) -> Iterator[tuple[int, ...]]:
    """Part a batch so that no request is answered with more than about `at_once` bytes.

    A mail counts `most_bytes` where more is not fetched of it, or where its size is not known.
    """
    together: list[int] = []
    expected = 0
    for uid in uids:
        size = min(sizes.get(uid, most_bytes), most_bytes)
        if together and expected + size > at_once:
            yield tuple(together)
            together, expected = [], 0
        together.append(uid)
        expected += size
    if together:
        yield tuple(together)
