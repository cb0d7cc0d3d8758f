"""The servers that the tests start, for the benchmarks.

Programs of this folder find each other, but not the repository's root, where the tests are.
"""

import sys
from ctypes.util import find_library
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from tests.servers.server import server

__all__ = ["ALLOCATOR", "server"]

#: What Valkey allocates with where its makefile is followed; the one in the wheel uses libc.
ALLOCATOR = find_library("jemalloc") or ""
