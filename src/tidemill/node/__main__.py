"""One worker process, as the supervisor starts it: `python -m tidemill.node APP SETTINGS`."""

import signal
import sys

from tidemill.node.process import run_process
from tidemill.node.supervisor import decode_settings
from tidemill.worker.child import die_with_parent

if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)
    sys.exit(run_process(sys.argv[1], decode_settings(sys.argv[2])))
