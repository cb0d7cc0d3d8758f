"""How long a program waits for Tidemill to be there."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from statistics import median

from figures import Figure

IMPORT = "import time; t = time.perf_counter(); import tidemill; print(time.perf_counter() - t)"
HELP = (sys.executable, "-m", "tidemill", "--help")


def starts(rounds: int) -> list[Figure]:
    """The import, and the help of the command line, each in fresh processes by turns.

    Their modules are compiled beforehand, as they are once a package is installed.
    """
    imports, helps = [], []
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        compiled = _compiling_to(folder)
        subprocess.check_output(HELP, env=compiled)
        for _ in range(rounds):
            words = [sys.executable, "-c", IMPORT]
            imports.append(float(subprocess.check_output(words, env=compiled)))
            began = time.perf_counter()
            subprocess.check_output(HELP, env=compiled)
            helps.append(time.perf_counter() - began)
    detail = f"median of {rounds} fresh processes"
    return [
        Figure("import tidemill", 1_000 * median(imports), "ms", 150, "<=", detail),
        Figure("tidemill --help, whole process", 1_000 * median(helps), "ms", 300, "<=", detail),
    ]


def _compiling_to(folder: str) -> Mapping[str, str]:
    """This environment, but with compiled modules kept there, even if it says to keep none."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": folder}
