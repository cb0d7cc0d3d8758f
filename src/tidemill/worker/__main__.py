"""One worker process, as the supervisor starts it: `python -m tidemill.worker APP SETTINGS`."""

import signal
import sys

from tidemill.worker.child import die_with_parent
from tidemill.worker.node import run_process
from tidemill.worker.supervisor import decode_settings

if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)
    sys.exit(run_process(sys.argv[1], decode_settings(sys.argv[2])))
