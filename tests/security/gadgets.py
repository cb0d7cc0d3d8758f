"""Data that runs code when something reads it carelessly, and a watch over what was run."""

import base64
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUNS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "subprocess.Popen",
    "pickle.find_class",
    "ctypes.dlopen",
    "shutil.rmtree",
    "webbrowser.open",
)
"""Audit events (PEP 578) of running a program, or of reading what names code."""

TRAP = "tidemill_trap"
"""A module that is there, and that nothing but a gadget asks for."""


class Watch:
    """What was run, imported or written since the watch began; an audit hook cannot be removed."""

    def __init__(self) -> None:
        self.active = False
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in RUNS or (event in {"import", "open"} and TRAP in str(args[0])):
            self.seen.append((event, str(args)))

    @contextmanager
    def over(self) -> Iterator[None]:
        """See what happens in this block."""
        self.seen.clear()
        self.active = True
        try:
            yield
        finally:
            self.active = False


class _Runs:
    """Pickles as a call of `os.system`."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> Any:
        return os.system, (self._command,)


def trap(folder: Path) -> Path:
    """A folder with the module whose import is the proof."""
    (folder / f"{TRAP}.py").write_text(
        f"import pathlib\npathlib.Path({str(folder / (TRAP + '.sprung'))!r}).touch()\n", "utf-8"
    )
    return folder


def sprung(folder: Path) -> bool:
    """Whether something ran."""
    return (folder / f"{TRAP}.sprung").exists()


def corpus(folder: Path) -> list[Any]:
    """JSON values; each would touch the trap's file if it was read as code."""
    command = f"touch {folder / (TRAP + '.sprung')}"
    pickled = pickle.dumps(_Runs(command))
    yaml = f"!!python/object/apply:os.system ['{command}']"
    return [
        base64.b64encode(pickled).decode(),
        pickled.decode("latin-1"),
        yaml,
        f"!!python/object/new:subprocess.Popen [['touch', '{folder}/{TRAP}.sprung']]",
        f"!!python/module:{TRAP}",
        {"py/object": f"{TRAP}.Thing"},
        {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [command]}]},
        {"__class__": f"{TRAP}.Thing", "__init__": [command]},
        {"__reduce__": ["os.system", [command]]},
        {"__proto__": {"constructor": command}},
        {"$type": "System.Diagnostics.Process", "$values": [command]},
        {"exc_type": "system", "exc_module": "os", "exc_message": [command]},
        {"exc_type": "Thing", "exc_module": TRAP, "exc_message": ["x"]},
        {"__type__": "pickle", "__value__": base64.b64encode(pickled).decode()},
        {"_type": f"{TRAP}:Thing"},
        f"{{0.__class__.__mro__[1].__subclasses__}} %({command})s",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        f"${{jndi:ldap://127.0.0.1/{TRAP}}} $({command}) `{command}`",
        f"__import__('os').system('{command}')",
        f"lambda: __import__('{TRAP}')",
        "x'); DELETE FROM tasks; DROP TABLE tasks; --",
        '" OR 1=1 OR "',
        "') redis.call('FLUSHALL') --",
        "%s %(x)s :x ? $1 {0} {x}",
    ]
