"""An exception as text: what is kept of it with the task."""

import hashlib
import sysconfig
import traceback
from pathlib import Path
from types import FrameType, TracebackType

from tidemill.errors import Permanent
from tidemill.secret import Veil, veiled
from tidemill.task import TaskError

MESSAGE_LIMIT = 4 * 1024
"""Characters kept of a message."""
TRACEBACK_LIMIT = 16 * 1024
"""Characters kept of a traceback; the innermost frames are the last and are kept."""

_OURS = str(Path(__file__).parents[1])
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_INNERMOST = 3


def describe(error: BaseException, veil: Veil | None = None) -> TaskError:
    """The error with its traceback, without the worker's own frames and without local values.

    What the veil hides is hidden before anything is cut: half a secret would be found no more.
    """
    kind = type(error)
    frames = _frames(error.__traceback__)
    return TaskError(
        type=f"{kind.__module__}.{kind.__qualname__}",
        message=veiled(veil, _message(error))[:MESSAGE_LIMIT],
        traceback=veiled(veil, _text(error, frames))[-TRACEBACK_LIMIT:],
        fingerprint=fingerprint(kind, [frame.tb_frame for frame in frames]),
    )


def fingerprint(kind: type[BaseException], frames: list[FrameType]) -> str:
    """16 hexadecimal digits of the type and the innermost frames, without lines and messages.

    Frames of installed packages count only where there are no others: which of a library's inner
    functions failed is often an accident of timing.
    """
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_INSTALLED)]
    places = [
        f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"
        for frame in (own or frames)[-_INNERMOST:]
    ]
    text = "\n".join([f"{kind.__module__}.{kind.__qualname__}", *places])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _frames(entry: TracebackType | None) -> list[TracebackType]:
    """Traceback entries, outermost first, without those of this package."""
    entries = []
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(_OURS):
            entries.append(entry)
        entry = entry.tb_next
    return entries


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as problem:  # noqa: BLE001  # a message is user code too
        return f"(its message cannot be read: {type(problem).__name__})"
    return f"{error.code}: {text}" if isinstance(error, Permanent) and error.code else text


def _text(error: BaseException, frames: list[TracebackType]) -> str:
    first = frames[0] if frames else None
    try:
        return "".join(traceback.format_exception(type(error), error, first))
    except Exception as problem:  # noqa: BLE001  # it reads messages and sources, which may fail
        return f"(its traceback cannot be read: {type(problem).__name__})"
