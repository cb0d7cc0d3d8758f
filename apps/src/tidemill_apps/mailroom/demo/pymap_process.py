"""`python -m tidemill_apps.mailroom.demo.pymap_process …`: pymap until standard input ends.

Whoever started it holds the other end, so it cannot outlive them, however they end.
"""

import os
import sys
import threading

from pymap.main import main


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    main()
