"""Processes of a campaign end with it, however it ends."""

import os
import signal
import sys

import psutil

from tidemill.worker.child import die_with_parent


def tether(conductor: int) -> None:
    """Let this process end when the campaign `conductor` that started it does (Linux).

    Processes that others started, as the children of a worker, are theirs to end.
    """
    if os.getppid() == conductor:
        die_with_parent(signal.SIGKILL)
    elif not psutil.pid_exists(conductor):
        sys.exit(f"the campaign {conductor} ended before this process began")
