"""The public names: complete, documented, and cheap to import."""

import inspect
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import tidemill
import tidemill.events
from tests.compiled import compiling_to
from tidemill import Event, TidemillError

NAMES = sorted(set(tidemill.__all__) - {"__version__"})
CLASSES = [name for name in NAMES if inspect.isclass(getattr(tidemill, name))]
INHERITED = {"with_traceback", "add_note"}


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_exists_and_says_what_it_is(name: str) -> None:
    value = getattr(tidemill, name)
    if name == "Middleware":
        assert str(value).startswith("collections.abc.Callable"), "an alias holds no docstring"
        return
    doc = value.__doc__
    assert doc
    assert not doc.startswith(f"{name}("), "that docstring was made by a generator of classes"


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_says_what_it_does(name: str) -> None:
    kind: Any = getattr(tidemill, name)
    mute = [method for method in _methods(kind) if not inspect.getdoc(getattr(kind, method))]
    assert [method for method in mute if not _is_said_by_the_clock(method)] == []


def _is_said_by_the_clock(method: str) -> bool:
    return bool(inspect.getdoc(getattr(tidemill.Clock, method, None)))


def _methods(kind: type) -> Iterator[str]:
    for name, value in vars(kind).items():
        public = not name.startswith("_") and name not in INHERITED
        if public and (inspect.isfunction(value) or isinstance(value, property | classmethod)):
            yield name


def test_nothing_that_users_need_is_missing() -> None:
    imported = {
        name
        for name, value in vars(tidemill).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert imported - {"Any", "TYPE_CHECKING"} <= set(NAMES)
    assert _kinds(TidemillError) | _kinds(Event) <= set(NAMES)


def _kinds(base: type[Any]) -> set[str]:
    below = {name for kind in base.__subclasses__() for name in _kinds(kind)}
    ours = base.__module__.startswith("tidemill") and not base.__module__.startswith(
        "tidemill.testing"
    )
    return below | ({base.__name__} if ours and not base.__name__.startswith("_") else set())


def test_the_names_are_sorted_and_said_once() -> None:
    assert len(tidemill.__all__) == len(set(tidemill.__all__))


def test_values_that_users_hold_cannot_be_changed() -> None:
    for name in CLASSES:
        kind: Any = getattr(tidemill, name)
        if issubclass(kind, msgspec.Struct):
            assert kind.__struct_config__.frozen, name
        elif is_dataclass(kind):
            parameters: Any = vars(kind)["__dataclass_params__"]
            assert parameters.frozen, name


HEAVY = ("apsw", "typer", "rich", "structlog", "uvloop", "pydantic", "litestar", "redis", "psutil")


def test_importing_brings_nothing_heavy_along() -> None:
    program = f"import sys, tidemill; print([name for name in {HEAVY} if name in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_importing_takes_less_than_150_ms_of_cpu(tmp_path: Path) -> None:
    """Processor time of the best try: what else the machine does must not decide.

    Nor must whether this environment keeps compiled modules, as an installed package does.
    """
    kept = compiling_to(tmp_path)
    _cpu_seconds("import tidemill", kept)
    tries = [_cpu_seconds("import tidemill", kept) for _ in range(5)]
    while min(tries) >= 0.15 and len(tries) < 40:
        tries.append(_cpu_seconds("import tidemill", kept))
    bare = min(_cpu_seconds("", kept) for _ in range(5))
    print(f"import tidemill: {min(tries) * 1000:.0f} ms, of it Python itself {bare * 1000:.0f} ms")
    assert min(tries) < 0.15


def _cpu_seconds(program: str, environment: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
