"""The servers that the tests start, for the benchmarks.

Programs of this folder find each other, but not the repository's root, where the tests are.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from tests.servers.server import server

__all__ = ["server"]
