"""What code of a task logs through `logging` is kept with the task, as its own log lines are."""

import logging
from typing import Final

from tidemill.context import KEPT, RUNNING

OURS: Final = "tidemill"


class Capture(logging.Handler):
    """Keeps each record that is logged inside a task, unless it is kept already or Tidemill's own.

    A thousand lines of an attempt are kept, with the task's own ones.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record; one that cannot be formatted is reported as `logging` does."""
        running = RUNNING.get()
        if running is None or getattr(record, KEPT, False) or _is_ours(record.name):
            return
        try:
            running.keep(record.levelno, self._text(record))
        except Exception:  # noqa: BLE001  # a mistake in a log line must not fail the task
            self.handleError(record)

    def _text(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):
            return self.format(record)
        said = dict(record.msg)  # of structlog, which lays its lines out at the very end
        text = str(said.pop("event", ""))
        fields = (f"{name}={value}" for name, value in said.items() if name != "exc_info")
        return " ".join([text, *fields])


def _is_ours(name: str) -> bool:
    return name == OURS or name.startswith(f"{OURS}.")
