"""Folders of documents; those of the demo: this project's own, and what Python brings along."""

import builtins
import inspect
import itertools
import math
import os
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from types import ModuleType
from typing import Final

from tidemill_apps.knowledge.documents import Source
from tidemill_apps.knowledge.parse import KINDS
from tidemill_apps.knowledge.render import Chapter, write_docx, write_pdf

_CHECKOUT: Final = Path(__file__).parents[4]
_LIBRARY: Final = Path(os.__file__).parent
_PYTHON: Final = f"python-{sys.version_info.major}.{sys.version_info.minor}"

_PROJECT_FILES: Final = ("*.md", "docs/**/*.md", "apps/*.md", "benchmarks/*.md")
_MODULES: Final = """
argparse base64 bisect calendar cmd collections/__init__ compileall configparser contextlib copy
csv dataclasses datetime enum filecmp fileinput fnmatch fractions ftplib functools getpass gettext
glob graphlib gzip hashlib heapq hmac imaplib json/__init__ linecache locale logging/__init__
mailbox mimetypes netrc numbers operator pathlib pickle plistlib poplib pprint queue random
reprlib sched secrets selectors shelve shlex shutil signal smtplib socket socketserver statistics
string subprocess tarfile tempfile textwrap threading timeit trace traceback types uuid warnings
weakref webbrowser zipapp zipfile asyncio/events asyncio/locks asyncio/protocols asyncio/queues
asyncio/runners asyncio/streams asyncio/taskgroups asyncio/tasks asyncio/threads asyncio/timeouts
concurrent/futures/_base concurrent/futures/process email/charset email/generator email/header
email/message http/client http/cookies http/server json/decoder json/encoder logging/handlers
urllib/parse urllib/request urllib/robotparser
""".split()
_TEXTS: Final = ("LICENSE.txt", "email/architecture.rst", "idlelib/help.html")
_BAD: Final = {
    "bad/cut-off.pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R",
    "bad/empty.txt": b"",
}
_PACKAGES: Final = ("docutils", "lxml", "numpy", "python-docx", "semantic-text-splitter")


def folder_documents(folder: Path) -> list[Source]:
    """Return every file below `folder` that can be read, named by its path in the folder.

    Hidden files and folders are left out.
    """
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in KINDS)
    inside = ((path, path.relative_to(folder)) for path in found if path.is_file())
    return [
        Source(name.as_posix(), path)
        for path, name in inside
        if not any(part.startswith(".") for part in name.parts)
    ]


def demo_documents(workspace: Path) -> list[Source]:
    """Return the demo's documents, about 120; the few that must be made go into `workspace`.

    What this Python lacks (some systems leave out `idlelib`) is left out. A made document that
    is there already is not made again, so that its bytes stay the same.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    return [
        *_project_documents(),
        *_python_documents(),
        *_package_documents(workspace),
        *_made_documents(workspace),
    ]


def collect_demo(folder: Path) -> frozenset[str]:
    """Make `folder` hold the demo's documents and two bad ones, and nothing else; name these two.

    A document that is there already, with the same bytes, is left alone.
    """
    wanted = {source.name: source.path.read_bytes() for source in demo_documents(folder / ".made")}
    wanted |= _BAD
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in wanted and not name.startswith("."):
            path.unlink()
    for name, data in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
    return frozenset(_BAD)


def _project_documents() -> Iterator[Source]:
    """Return the checkout's documents; nothing if the package is not installed from one."""
    if not (_CHECKOUT / "pyproject.toml").is_file():
        return
    paths = {path for pattern in _PROJECT_FILES for path in _CHECKOUT.glob(pattern)}
    for path in sorted(paths):
        yield Source(f"tidemill/{path.relative_to(_CHECKOUT).as_posix()}", path)


def _python_documents() -> Iterator[Source]:
    for name in (*_TEXTS, *(f"{module}.py" for module in _MODULES)):
        path = _LIBRARY / name
        if path.is_file():
            yield Source(f"python/{name}", path)


def _package_documents(workspace: Path) -> Iterator[Source]:
    """Return the read-me of installed packages, which their metadata contain as text."""
    for package in _PACKAGES:
        try:
            about = metadata(package).json
        except PackageNotFoundError:
            continue
        kind = "rst" if "rst" in str(about.get("description_content_type")) else "md"
        path = workspace / f"{package}-{about['version']}.{kind}"
        if not path.is_file():
            path.write_text(str(about["description"]), encoding="utf-8")
        yield Source(f"packages/{package}.{kind}", path)


def _made_documents(workspace: Path) -> Iterator[Source]:
    """Return the documentation of what is written in C: it stands in no file of Python's."""
    functions = workspace / f"{_PYTHON}-built-in-functions.pdf"
    if not functions.is_file():
        write_pdf(functions, "Built-in functions of Python", _chapters(builtins))
    modules = workspace / f"{_PYTHON}-itertools-math-time.docx"
    if not modules.is_file():
        chapters = [chapter for module in (itertools, math, time) for chapter in _chapters(module)]
        write_docx(modules, "Iterators, mathematics and time in Python", chapters)
    yield Source("python/built-in-functions.pdf", functions)
    yield Source("python/itertools-math-time.docx", modules)


def _chapters(module: ModuleType) -> list[Chapter]:
    chapters = [Chapter(module.__name__, inspect.getdoc(module) or "")]
    for name, value in sorted(vars(module).items()):
        is_error = isinstance(value, type) and issubclass(value, BaseException)
        documentation = inspect.getdoc(value) if callable(value) and not is_error else None
        if documentation and not name.startswith("_"):
            chapters.append(Chapter(f"{module.__name__}.{name}", documentation))
    return chapters
