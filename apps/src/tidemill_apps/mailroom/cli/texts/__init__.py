"""The sentences of the command line: one table for each language, chosen once for a run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Final

from tidemill import ConfigError

LANGUAGES: Final[Mapping[str, str]] = {"en": "en", "zh": "zh"}
"""Languages by their tag, with the module that has their table."""

_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")


@dataclass(frozen=True, slots=True)
class Texts:
    """One language: sentences by key; `parser` puts into it what the option parser says."""

    sentences: Mapping[str, str]
    parser: Sequence[tuple[re.Pattern[str], str]] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """Says things in one language."""

    texts: Texts

    def __call__(self, key: str, /, **values: object) -> str:
        """The sentence of a key with its values filled in; an unknown key is a `KeyError`."""
        return self.texts.sentences[key].format(**values)

    def of_parser(self, text: str) -> str:
        """What the option parser laid out, or complained about."""
        for pattern, replacement in self.texts.parser:
            text = pattern.sub(replacement, text)
        return text


def choose_language(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language of a run: `--lang`, else the locale of the environment, else English.

    Looked for before anything is parsed, since the help page is written in it, too. Raises
    `ConfigError` for a language without texts.
    """
    for word, following in pairwise([*argv, ""]):
        flag, _, value = word.partition("=")
        if flag == "--lang":
            tag = (value or following).partition("-")[0].lower()
            if tag not in LANGUAGES:
                raise ConfigError(f"--lang {value or following}: there are texts in en and zh")
            return tag
    locale = next((said for each in _VARIABLES if (said := environment.get(each))), "")
    return "zh" if locale.lower().startswith("zh") else "en"


def texts_of(language: str) -> Texts:
    """The texts of a language that `LANGUAGES` names."""
    texts: Texts = import_module(f"{__name__}.{LANGUAGES[language]}").TEXTS
    return texts
