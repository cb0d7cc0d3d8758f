"""Payloads as they are said on a command line, or written in an editor."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import typer

from tidemill.cli.output import dumps
from tidemill.cli.texts import Say
from tidemill.errors import ConfigError


def payload_from(said: str, say: Say) -> dict[str, Any]:
    """Arguments as a JSON object, from standard input for `-`; raises `ConfigError`."""
    return _object(sys.stdin.read() if said == "-" else said, say)


def edited(payload: Any, say: Say) -> dict[str, Any]:
    """A payload as it is when the reader's editor is closed; one that was left as it was aborts.

    The editor is `VISUAL`, else `EDITOR`. Raises `ConfigError` without one, when it fails, and for
    what is no JSON object.
    """
    import shlex
    import subprocess
    import tempfile

    program = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not program:
        raise ConfigError(say("payload.no_editor"))
    before = dumps(payload, indent=True) + "\n"
    with tempfile.TemporaryDirectory(prefix="tidemill-") as folder:
        file = Path(folder) / "arguments.json"
        file.write_text(before, "utf-8")
        try:
            ended = subprocess.run([*shlex.split(program), str(file)], check=False)  # noqa: S603  # the reader's own editor
        except OSError as error:
            raise ConfigError(say("payload.no_editor_here", program=program)) from error
        if ended.returncode:
            raise ConfigError(say("payload.editor_failed", program=program, code=ended.returncode))
        after = file.read_text("utf-8")
    if after == before:
        raise typer.Abort
    return _object(after, say)


def _object(text: str, say: Say) -> dict[str, Any]:
    try:
        # The standard library's parser says where a mistake is.
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(say("payload.not_json", reason=str(error))) from error
    if not isinstance(found, dict):
        raise ConfigError(say("payload.not_object", text=text.strip()))
    return found
