"""From a file and the environment to a checked configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

from tidemill.configuration.document import Node, parse
from tidemill.configuration.given import (
    Given,
    Path,
    dotted,
    entries_of,
    environment_tree,
    is_section,
    parts,
    read,
)
from tidemill.configuration.mistakes import Mistake, Place
from tidemill.configuration.sections import SECRETS, Configuration
from tidemill.errors import ConfigError

VARIABLE: Final = "TIDEMILL_CONFIG"
FILE: Final = "tidemill.yaml"


@dataclass(frozen=True, slots=True)
class Value:
    """One setting as it is in force; `place` is None where nothing was said and the default holds.

    `secret` values are not to be shown.
    """

    name: str
    value: Any
    place: Place | None
    secret: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with where its values come from, and all that is wrong with it.

    What is wrong is left at its default in `configuration`, so that everything is looked at.
    `file` is where it was read, if anywhere.
    """

    file: FilePath | None
    configuration: Configuration
    given: Mapping[Path, Given]
    mistakes: tuple[Mistake, ...]

    def checked(self) -> Configuration:
        """The configuration; raises `ConfigError` that tells the first mistake, and how many."""
        if not self.mistakes:
            return self.configuration
        more = len(self.mistakes) - 1
        rest = f" (and {more} more: tidemill config check)" if more else ""
        raise ConfigError(f"{self.mistakes[0]}{rest}")

    def said(self, section: str) -> dict[str, Any]:
        """The values of a section that were given, by name."""
        return {
            path[1]: given.value
            for path, given in self.given.items()
            if path[0] == section and len(path) > 1
        }

    def values(self) -> list[Value]:
        """Every setting, section by section."""
        return list(self._values(self.configuration, ()))

    def _values(self, section: Any, path: Path) -> Iterator[Value]:
        names = section if isinstance(section, dict) else parts(type(section)) or ()
        for name in names:
            inner = section[name] if isinstance(section, dict) else getattr(section, name)
            at = (*path, name)
            given = self.given.get(at)
            if given is None and (is_section(type(inner)) or isinstance(inner, dict)):
                yield from self._values(inner, at)
            else:
                place = given.place if given else None
                # nobody here knows which of an application's values are secret
                secret = name in SECRETS or path == ("applications",)
                yield Value(dotted(at), inner, place, secret and inner not in (None, ()))


def find(environment: Mapping[str, str]) -> FilePath | None:
    """The file that `TIDEMILL_CONFIG` names, else `tidemill.yaml` in this folder if it is there."""
    if environment.get(VARIABLE):
        return FilePath(environment[VARIABLE])
    file = FilePath(FILE)
    return file if file.exists() else None


def load(file: FilePath | None, environment: Mapping[str, str]) -> Loaded:
    """What a file and the environment say, the environment before the file.

    A file that cannot be read raises `ConfigError`; what is wrong with its contents is told in the
    answer.
    """
    mistakes: list[Mistake] = []
    trees: list[Node | None] = []
    if file is not None:
        tree, wrong = parse(_text(file), str(file))
        trees.append(tree)
        mistakes.extend(wrong)
    trees.append(environment_tree(environment))
    given: dict[Path, Given] = {}
    for tree in trees:
        for found in read(Configuration, tree) if tree is not None else ():
            if isinstance(found, Mistake):
                mistakes.append(found)
            else:
                given[found[0]] = found[1]
    configuration = _built(Configuration, (), given, mistakes)
    mistakes.sort(key=lambda each: (each.place.line is None, each.place.line or 0))
    return Loaded(file, configuration, given, tuple(mistakes))


def _text(file: FilePath) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"the configuration {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration {file} is not UTF-8 text") from error


def _built(kind: Any, path: Path, given: dict[Path, Given], mistakes: list[Mistake]) -> Any:
    """A section of what was given under a path; what cannot be is told, and taken out."""
    kinds = parts(kind)
    names = sorted({each[len(path)] for each in given if each[: len(path)] == path})
    said: dict[str, Any] = {}
    for name in names:
        inner = kinds[name] if kinds is not None else entries_of(kind)
        at = (*path, name)
        said[name] = _built(inner, at, given, mistakes) if is_section(inner) else given[at].value
    if kinds is None:
        return said
    try:
        return kind(**said)
    except ConfigError as error:
        wrong = _blamed(str(error), path, given)
        section = f"{dotted(path)}: " if path else ""
        mistakes.append(Mistake(given.pop(wrong).key_at, f"{section}{error}"))
        return _built(kind, path, given, mistakes)


def _blamed(text: str, path: Path, given: Mapping[Path, Given]) -> Path:
    """The path of the value that an error is about: the first given one that it names."""
    below = [each for each in given if each[: len(path)] == path]
    for word in text.replace(":", " ").split():
        for each in below:
            if word in each[len(path) :]:
                return each
    return below[0]
