"""A Python module as its readers know it: names, signatures and docstrings."""

import ast
import inspect
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

_Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_MAX_DEPTH: Final = 3


class Outline(msgspec.Struct, frozen=True):
    """A module's title (its docstring's first line) and its documentation as Markdown."""

    title: str
    text: str


def outline_of_python(source: str) -> Outline | None:
    """Return the documentation in `source`, or `None`: no docstrings, or not Python 3.

    Code without a docstring is left out unless its name is public: then its signature is in.
    """
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    docstring = ast.get_docstring(module) or ""
    sections = list(_sections(module.body, prefix="", depth=1))
    if not docstring and not any("\n" in section for section in sections):
        return None
    title = docstring.partition("\n")[0].strip()
    return Outline(title, "\n\n".join(filter(None, [docstring, *sections])))


def _sections(body: list[ast.stmt], prefix: str, depth: int) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node, clean=False)
        if docstring is None and node.name.startswith("_"):
            continue
        heading = f"{'#' * (depth + 1)} {_signature(node, prefix)}"
        yield f"{heading}\n\n{inspect.cleandoc(docstring)}" if docstring else heading
        if isinstance(node, ast.ClassDef) and depth < _MAX_DEPTH:
            yield from _sections(node.body, f"{prefix}{node.name}.", depth + 1)


def _signature(node: _Definition, prefix: str) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {prefix}{node.name}({bases})" if bases else f"class {prefix}{node.name}"
    kind = "async def " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{kind}{prefix}{node.name}({ast.unparse(node.args)})"
