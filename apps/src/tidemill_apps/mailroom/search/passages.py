"""A mail to passages: pieces short enough for one vector to say what they say."""

import re
from typing import Final

import msgspec
from semantic_text_splitter import TextSplitter

from tidemill_apps.services.text.sentences import own_text
from tidemill_apps.services.vectors import row_id

MAX_CHARACTERS: Final = 500
"""The sentence encoder averages over words: longer passages lose what they say."""
MIN_CHARACTERS: Final = 200
"""Shorter ones would hold little besides the subject."""
MAX_PASSAGES: Final = 16
"""Of 6,046 real mails, 95 % have no more. The rest are digests and newsletters of up to 438: whole,
they take a quarter of all the time to embed and crowd out the mails that are about one thing."""
_LONGEST_SUBJECT: Final = 120
_ANSWERED: Final = re.compile(
    r"^(?:\s*(?:re|aw|fw|fwd|回复|答复|转发)\s*(?:\[\d+\])?\s*[:：])+", re.IGNORECASE
)
_MIN_LETTERS: Final = 2


class Passage(msgspec.Struct, frozen=True):
    """A piece of a mail, below the mail's subject; the same piece always has the same id."""

    id: str
    text: str


def passages_of(
    mail_id: str, subject: str, text: str, characters: int = MAX_CHARACTERS
) -> tuple[Passage, ...]:
    """Return at most `MAX_PASSAGES` pieces in order, of at most so many `characters` each.

    No passage has more than `MAX_CHARACTERS`, and none is held to fewer than `MIN_CHARACTERS`.

    They are cut where the sense breaks, from the mail's own text (quotations and the signature
    are left out while there is other text), and each begins with the subject, so that the last
    page of a mail is still about something. Pieces without letters are left out; a mail of nothing
    but a subject is one passage, one without any letter is none.
    """
    heading = " ".join(_ANSWERED.sub("", subject).split())[:_LONGEST_SUBJECT]
    size = max(MIN_CHARACTERS, min(characters, MAX_CHARACTERS))
    splitter = TextSplitter(size - len(heading) - 2)
    pieces = [piece for piece in splitter.chunks(own_text(text)) if _says_something(piece)]
    texts = [f"{heading}\n\n{piece}".strip() for piece in pieces[:MAX_PASSAGES] or [""]]
    return tuple(
        Passage(row_id(mail_id, "mail", ordinal, told), told)
        for ordinal, told in enumerate(texts)
        if _says_something(told)
    )


def _says_something(piece: str) -> bool:
    return sum(character.isalpha() for character in piece) >= _MIN_LETTERS
