"""The sentences of the command line: one catalogue per language, chosen once for a run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise

from tidemill.cli.masking import masked
from tidemill.errors import ConfigError, TidemillError

LANGUAGES: Mapping[str, str] = {"en": "en", "zh-Hans": "zh_hans"}
"""Languages by their tag, with the module that holds their catalogue."""

_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


@dataclass(frozen=True, slots=True)
class Texts:
    """One language: sentences by key, and help with the English that others wrote.

    `kinds` names the kind of an error by its slug, to stand before the library's own text; `parser`
    are pairs of a pattern and its replacement, tried in order on each line of the option parser.
    """

    sentences: Mapping[str, str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    parser: Sequence[tuple[re.Pattern[str], str]] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """Says things in one language."""

    texts: Texts

    def __call__(self, key: str, /, **values: object) -> str:
        """The sentence of a key with its values filled in; an unknown key is a `KeyError`."""
        return self.texts.sentences[key].format(**values)

    def error(self, error: TidemillError) -> str:
        """An error of the library without passwords, after its kind where the language names it."""
        kind, text = self.texts.kinds.get(error.slug), masked(str(error))
        return text if kind is None else f"{kind}：{text}"

    def usage(self, text: str) -> str:
        """What the option parser complained about, without passwords."""
        return self.help(masked(text))

    def help(self, text: str) -> str:
        """A help page that the option parser laid out."""
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        for pattern, replacement in self.texts.parser:
            line = pattern.sub(replacement, line)
        return line


def choose_language(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language of a run: `--lang`, else the locale of the environment, else English.

    Looked for before anything is parsed, because the help page is written in it too. Raises
    `ConfigError` for a `--lang` that there is no catalogue for.
    """
    for word, following in pairwise([*argv, ""]):
        flag, _, value = word.partition("=")
        if flag == "--lang":
            return _known(value or following)
    for variable in _VARIABLES:
        if value := environment.get(variable, ""):
            return "zh-Hans" if value.lower().startswith("zh") else "en"
    return "en"


def _known(tag: str) -> str:
    for language in LANGUAGES:
        if tag.lower() in (language.lower(), language.partition("-")[0]):
            return language
    raise ConfigError(f"--lang {tag}: there are texts in {', '.join(LANGUAGES)}")


def texts_of(language: str) -> Texts:
    """The catalogue of a language that `LANGUAGES` names."""
    texts: Texts = import_module(f"{__name__}.{LANGUAGES[language]}").TEXTS
    return texts
