"""`python -m tidemill_apps.mailroom`: the same as the command `mailroom`."""

import sys

from tidemill_apps.mailroom.cli import main

if __name__ == "__main__":
    sys.exit(main())
