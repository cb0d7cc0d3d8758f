"""Processes that use one store at the same time."""

import subprocess
import sys
from pathlib import Path

from apps.tests.services.vectors.program import BATCHES, OWN, SHARED
from tidemill_apps.services.vectors import VectorStore

_PROGRAM = Path(__file__).with_name("program.py")


def two_processes_upsert_at_once(url: str, store: VectorStore) -> None:
    """Start both, let them write when both are ready, and look for every row."""
    store.ensure("at once", dim=8, model_id="m")
    running = [
        subprocess.Popen(
            [sys.executable, str(_PROGRAM), url, who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for who in ("a", "b")
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        for process in running:
            process.wait(timeout=60)
        assert [process.returncode for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    ids = {who: store.ids("at once", who) for who in ("a", "b")}
    for who, written in ids.items():
        assert sum(row_id.startswith(f"{who} ") for row_id in written) == BATCHES * OWN
    assert len(ids["a"]) + len(ids["b"]) == store.count("at once") == 2 * BATCHES * OWN + SHARED
