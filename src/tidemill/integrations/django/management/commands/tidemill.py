"""`manage.py tidemill …`: the command line of Tidemill, for the application of this project."""

import os
import sys
from typing import NoReturn

from django.core.management.base import BaseCommand

APP_VARIABLE, APP = "TIDEMILL_APP", "tidemill.integrations.django:app"


class Command(BaseCommand):
    """Becomes `tidemill …`, whose own processes then find the project as this one did."""

    help = "Run Tidemill: `manage.py tidemill worker`, `… up`, `… status`, `… --help`."

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        """Pass all words on: they are none of Django's."""
        os.environ.setdefault(APP_VARIABLE, APP)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [sys.path[0], *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "tidemill", *argv[2:]])  # noqa: S606  # no shell
