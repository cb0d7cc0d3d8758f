"""The mails of the demo: one mailbox of a harbour office, in English and Chinese.

letter.py    what a mail says, and its bytes
english.py   good mail in English, some of it badly made
chinese.py   good mail in Chinese
spam.py      eight mails that nobody asked for, in both languages
"""

from datetime import datetime
from typing import Final

from tidemill_apps.mailroom.demo.mails.chinese import CHINESE
from tidemill_apps.mailroom.demo.mails.english import ENGLISH
from tidemill_apps.mailroom.demo.mails.letter import OWNER, Letter, rfc822
from tidemill_apps.mailroom.demo.mails.spam import SPAM

LETTERS: Final = tuple(sorted((*ENGLISH, *CHINESE, *SPAM), key=lambda letter: -letter.hours))
"""All of them, the oldest first."""

__all__ = ["LETTERS", "OWNER", "Letter", "mailbox"]


def mailbox(now: datetime) -> list[bytes]:
    """Return the mails as a server has them, the oldest first, dated back from `now`."""
    return [rfc822(letter, now) for letter in LETTERS]
