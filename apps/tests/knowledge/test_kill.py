"""A worker process is killed in the middle of indexing; another one finishes the work."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from apps.tests.knowledge.conftest import text
from apps.tests.knowledge.system import QUICK, tasks_of
from tidemill import State, Tidemill
from tidemill_apps.knowledge.documents import DocumentState, Library
from tidemill_apps.knowledge.tasks import document_indexing_task, index_folder_task
from tidemill_apps.services.embedder import BATCH_SIZE

ROOT = Path(__file__).parents[3]
DOCUMENTS, PARAGRAPHS, STALL = 6, 4 * BATCH_SIZE, 7


@contextmanager
def worker_process(**environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.tests.knowledge.worker_process"],
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def batches(home: Path) -> list[tuple[int, list[str]]]:
    log = home / "batches.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return [(pid, passages) for pid, passages in map(json.loads, lines)]


@pytest.mark.timeout(90)
async def test_a_killed_worker_leaves_nothing_lost_doubled_or_done_twice(
    knowledge: Tidemill, kept: Library, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(DOCUMENTS):
        (folder / f"{number}.txt").write_text(text(f"document {number}", PARAGRAPHS))
    engine = await knowledge.engine()
    handle = await index_folder_task.enqueue(folder=str(folder))
    cursor = (await engine.feed("", 500, timedelta())).cursor
    with worker_process(KNOWLEDGE_TEST_STALL=str(STALL)) as first:
        # Both threads stand still inside a batch once two more than STALL have been begun.
        while len(batches(home)) < STALL + QUICK.threads:
            assert first.poll() is None
            cursor = (await engine.feed(cursor, 500, timedelta(seconds=0.2))).cursor
        first.kill()
        first.wait()
    with kept.transaction() as connection:
        rows = connection.execute("SELECT text FROM segment WHERE indexed = 1")
        committed = {row["text"] for row in rows}
    assert len(committed) == STALL * BATCH_SIZE
    begun = len(batches(home))
    with worker_process():
        indexed = await handle.result(60)
        tasks = await tasks_of(knowledge, document_indexing_task.name)
    await knowledge.close()

    assert (indexed.documents, indexed.segments) == (DOCUMENTS, DOCUMENTS * PARAGRAPHS)
    assert {task.state for task in tasks} == {State.COMPLETED}
    assert Counter(task.attempt for task in tasks) == {2: QUICK.threads, 1: DOCUMENTS - 2}
    assert {document.state for document in kept.documents()} == {DocumentState.COMPLETED}
    with kept.transaction() as connection:
        kept_counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("segment", "vector", "(SELECT DISTINCT document_id, text FROM segment)")
        ]
    assert kept_counts == [DOCUMENTS * PARAGRAPHS] * 3
    again = [passage for _, passages in batches(home)[begun:] for passage in passages]
    assert committed.isdisjoint(again)
    embedded = Counter(passage for _, passages in batches(home) for passage in passages)
    assert len(embedded) == DOCUMENTS * PARAGRAPHS
    assert Counter(embedded.values()) == {
        1: DOCUMENTS * PARAGRAPHS - QUICK.threads * BATCH_SIZE,
        2: QUICK.threads * BATCH_SIZE,
    }
