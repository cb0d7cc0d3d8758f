"""`python -m tidemill`: the command line of this interpreter's Tidemill."""

import sys

from tidemill.cli import main

sys.exit(main())
