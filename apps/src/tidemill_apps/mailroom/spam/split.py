"""Parts labelled mail in two, so that neither side has seen the other."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill_apps.mailroom.message import Mail

HELD_OUT: Final = 0.3

# MinHash (Broder, 1997) with bands: texts that share half of their word triples meet in a band
# with a probability of 1 - (1 - 0.5^4)^24 = 79 %, those that share 70 % of them with 99.9 %.
_BANDS: Final = 24
_ROWS: Final = 4
_ALIKE: Final = 0.5
_PRIME: Final = (1 << 31) - 1
_DRAWN: Final = np.random.default_rng(20020822).integers(1, _PRIME, (2, _BANDS * _ROWS, 1))

Signature = NDArray[np.int64]


def groups(mails: Sequence[Mail]) -> list[tuple[int, ...]]:
    """Return the indices of the mails, those together that are copies or nearly so.

    Near means that two texts share about half of their word triples, numbers and case aside; two
    mails are together also when a chain of such pairs joins them.
    """
    signatures = [_signature(mail) for mail in mails]
    parents = list(range(len(mails)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for first, other in _neighbours(signatures):
        if np.mean(signatures[first] == signatures[other]) >= _ALIKE:
            parents[root(other)] = root(first)
    together: defaultdict[int, list[int]] = defaultdict(list)
    for index in range(len(mails)):
        together[root(index)].append(index)
    return [tuple(members) for members in together.values()]


def held_out(mails: Sequence[Mail], share: float = HELD_OUT) -> frozenset[int]:
    """Return the indices of the mails to validate on: about `share` of them, always the same.

    The side of a group is decided by the hash of its smallest digest, so that neither the order
    of the mails nor chance has a say.
    """
    return frozenset(
        index
        for members in groups(mails)
        if place(min(mails[member].digest for member in members)) < share
        for index in members
    )


def place(name: str) -> float:
    """Return where a name falls in [0, 1), evenly and for ever the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / (1 << 48)


def _signature(mail: Mail) -> Signature:
    words = re.findall(r"[^\W\d_]{2,}", f"{mail.subject} {mail.text[:20_000]}".lower())
    triples = {" ".join(words[at : at + 3]) for at in range(max(len(words) - 2, 1))}
    hashes = np.array([_hash(triple) for triple in triples], np.int64) % _PRIME
    factors, offsets = _DRAWN
    signature: Signature = ((factors * hashes + offsets) % _PRIME).min(axis=1)
    return signature


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


def _neighbours(signatures: Sequence[Signature]) -> Iterator[tuple[int, int]]:
    """Yield pairs that agree on a whole band; the members of a bucket each with its first."""
    for band in range(_BANDS):
        rows = slice(band * _ROWS, (band + 1) * _ROWS)
        firsts: dict[bytes, int] = {}
        for index, signature in enumerate(signatures):
            first = firsts.setdefault(signature[rows].tobytes(), index)
            if first != index:
                yield first, index
