"""Its import leaves a mark: nothing but a payload ever names it."""

import os
from pathlib import Path

Path(os.environ["SITE_FOLDER"], "was-here").touch()


def run() -> None:
    """Never called."""
