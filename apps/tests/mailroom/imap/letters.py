"""Mails as servers have them: with and without ids, in two languages, some of them malformed."""

from collections.abc import Iterator
from typing import Final

from apps.tests.mailroom.mails import ALTERNATIVES, CHINESE, MALFORMED, PLAIN, SPAM_PAGE

ODD: Final = tuple(
    MALFORMED[name]
    for name in ("no colon", "open boundary", "strange charset", "bad words", "bad addresses")
)


def letters(count: int) -> list[bytes]:
    """So many mails, no two of them alike; every twentieth has no id, every fortieth is odd."""
    return list(_letters(count))


def _letters(count: int) -> Iterator[bytes]:
    shapes = (PLAIN, CHINESE, ALTERNATIVES, SPAM_PAGE)
    for number in range(count):
        name = b"<letter-%d@mill.example>" % number
        shape = ODD[number % len(ODD)] if number % 40 == 7 else shapes[number % len(shapes)]
        plain = shape.replace(b"Message-ID: <gate-1@mill.example>\n", b"")
        identity = (
            b"X-Number: %d\n" % number if number % 20 == 7 else b"Message-ID: " + name + b"\n"
        )
        yield (identity + plain).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
