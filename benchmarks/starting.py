"""How long a program waits for Tidemill to be there."""

import subprocess
import sys
import time
from statistics import median

from figures import Figure

IMPORT = "import time; t = time.perf_counter(); import tidemill; print(time.perf_counter() - t)"


def starts(rounds: int) -> list[Figure]:
    """The import, and the help of the command line, each in fresh processes by turns."""
    imports, helps = [], []
    for _ in range(rounds):
        words = [sys.executable, "-c", IMPORT]
        imports.append(float(subprocess.check_output(words)))
        began = time.perf_counter()
        subprocess.check_output([sys.executable, "-m", "tidemill", "--help"])
        helps.append(time.perf_counter() - began)
    detail = f"median of {rounds} fresh processes"
    return [
        Figure("import tidemill", 1_000 * median(imports), "ms", 150, "<=", detail),
        Figure("tidemill --help, whole process", 1_000 * median(helps), "ms", 300, "<=", detail),
    ]
