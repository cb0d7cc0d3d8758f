"""Which language a text is in."""

import re
from typing import Final

from tidemill_apps.services.text.values import Language

_CHINESE: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LATIN_WORD: Final = re.compile(r"[A-Za-z]+")
_CHARACTERS_PER_WORD: Final = 1.5
"""Of Chinese: what makes one character weigh as much as 1 / 1.5 English words."""


def language_of(text: str) -> Language:
    """Chinese if more than half of the text's words are, else English.

    >>> language_of("请查收附件 report_final.pdf"), language_of("Dear 王伟, see you on Monday")
    ('zh', 'en')
    """
    chinese = len(_CHINESE.findall(text)) / _CHARACTERS_PER_WORD
    return "zh" if chinese > len(_LATIN_WORD.findall(text)) else "en"
