"""Mail found again, by its meaning and by its words.

- passages.py: a mail cut into pieces that one vector can stand for
- index.py: putting and removing mail, questions, a new generation of vectors
"""

from tidemill_apps.mailroom.search.index import Hit, Hits, MailIndex, generation
from tidemill_apps.mailroom.search.passages import Passage, passages_of

__all__ = ["Hit", "Hits", "MailIndex", "Passage", "generation", "passages_of"]
