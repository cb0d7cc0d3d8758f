"""Finds the words that Tidemill never says in the identifiers that it defines.

Python is read by its syntax tree: only what we name counts (files, functions, classes, arguments,
variables, attributes of self), not what we call on somebody else's objects. SQL and Lua are read
word by word, without comments and string literals; SQL keywords are written in capitals.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.words import ALLOWED_NAMES, ALLOWED_UNDER, FORBIDDEN, SEAM, SEAM_FORBIDDEN

FOLDERS = ("src", "apps/src")
ENDINGS = ("", "s", "d", "r", "es", "ed", "er", "ers", "ing", "ly", "ally")

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NOT_SQL_NAMES = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_NOT_LUA_NAMES = re.compile(
    r"--\[\[.*?\]\]|--[^\n]*|\[\[.*?\]\]|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL
)
_SQL_NAME = re.compile(r"\b(?![A-Z0-9_]+\b)[A-Za-z_]\w*")
_LUA_NAME = re.compile(r"(?<![.:\w])[A-Za-z_]\w*")

Named = tuple[int, str]  # line, identifier


def python_names(source: str) -> Iterator[Named]:
    """Every identifier that this Python source defines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(value=ast.Name(id="self" | "cls"), ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.MatchMapping(rest=str(name)):
                yield node.lineno, name


def script_names(source: str, skipped: re.Pattern[str], name: re.Pattern[str]) -> Iterator[Named]:
    """Every name in a script, where skipped is what holds none (comments, literals)."""
    blanked = skipped.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)
    for found in name.finditer(blanked):
        yield blanked.count("\n", 0, found.start()) + 1, found[0]


def names_in(path: str, source: str) -> Iterator[Named]:
    """The file's own name, then the names that it defines."""
    yield 1, Path(path).stem
    match Path(path).suffix:
        case ".py":
            yield from python_names(source)
        case ".sql":
            yield from script_names(source, _NOT_SQL_NAMES, _SQL_NAME)
        case ".lua":
            yield from script_names(source, _NOT_LUA_NAMES, _LUA_NAME)


def word_for(path: str, part: str) -> str | None:
    """What to say in this file instead of this part of a name; None when it may stand."""
    if path.startswith(SEAM) and part in SEAM_FORBIDDEN:
        return SEAM_FORBIDDEN[part]
    for stem in (part.removesuffix(ending) for ending in ENDINGS):
        if stem in FORBIDDEN and not _allowed(stem, path):
            return FORBIDDEN[stem]
    return None


def _allowed(stem: str, path: str) -> bool:
    """Whether the folder of a file is about what a word means elsewhere."""
    return any(path.startswith(folder) and stem in words for folder, words in ALLOWED_UNDER.items())


def check(path: str, source: str) -> list[str]:
    """One complaint for each name in the file that contains a forbidden word."""
    return [
        f"{path}:{line}: {name} contains {part!r}; the word here is {word}"
        for line, name in names_in(path, source)
        if name not in ALLOWED_NAMES
        for part in _PARTS.findall(name)
        if (word := word_for(path, part.lower()))
    ]


def main(root: Path = Path()) -> int:
    """Check every source file below the root; 1 when one says a forbidden word."""
    complaints = [
        complaint
        for folder in FOLDERS
        for file in sorted((root / folder).rglob("*"))
        if file.suffix in {".py", ".sql", ".lua"}
        for complaint in check(file.relative_to(root).as_posix(), file.read_text("utf-8"))
    ]
    print("\n".join(complaints) or "Words: no forbidden synonym.")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
