"""The tasks on a real engine with a real worker: whole folders, bad files, changes, stops."""

import asyncio
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from apps.tests.counting import CountingEmbedder
from apps.tests.knowledge.conftest import text
from apps.tests.knowledge.system import library_resource, running, tasks_of
from tidemill import State, TaskFailedError, Tidemill
from tidemill_apps.knowledge.__main__ import main
from tidemill_apps.knowledge.documents import DocumentState, Library, Source
from tidemill_apps.knowledge.indexing import STEPS
from tidemill_apps.knowledge.tasks import (
    document_indexing_task,
    index_folder_task,
    search_task,
)
from tidemill_apps.services.embedder import BATCH_SIZE

SEGMENTS = 120 + 40 + 70 + 1 + 1


def counts(library: Library) -> tuple[int, ...]:
    with library.transaction() as connection:
        return tuple(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("document", "segment", "vector", "keyword_posting")
        )


async def test_a_folder_is_indexed_and_its_bad_files_are_reported_with_one_line_each(
    knowledge: Tidemill, kept: Library, folder: Path
) -> None:
    async with running(knowledge):
        handle = await index_folder_task.enqueue(folder=str(folder))
        indexed = await handle.result(60)
        children = await tasks_of(knowledge, document_indexing_task.name)
        parent = await handle.get()
    assert (indexed.documents, indexed.segments, indexed.embedded) == (5, SEGMENTS, SEGMENTS)
    assert indexed.unfinished == ()
    reasons = {Path(each.name).name: (each.code, each.reason) for each in indexed.refused}
    assert reasons == {
        "corrupt.pdf": ("corrupt", "not a readable PDF"),
        "empty.txt": ("empty", "the file has 0 bytes"),
        "zero.docx": ("empty", "the file has 0 bytes"),
    }
    assert Counter(task.state for task in children) == {State.COMPLETED: 5, State.FAILED: 3}
    for task in children:
        assert task.parent_id == parent.id
        assert task.queue == "indexing"
        if task.state is State.FAILED:
            assert task.attempt == 1
            assert task.error is not None
            assert "\n" not in task.error.message
            assert any(name in task.error.message for name in reasons)
    assert (parent.state, parent.attempt) == (State.COMPLETED, 1)
    assert counts(kept)[:3] == (8, SEGMENTS, SEGMENTS)


async def test_indexing_a_folder_again_embeds_nothing_and_changes_no_count(
    knowledge: Tidemill, kept: Library, folder: Path, embedder: CountingEmbedder
) -> None:
    async with running(knowledge):
        await (await index_folder_task.enqueue(folder=str(folder))).result(60)
        before, passages = counts(kept), len(embedder.passages)
        again = await (await index_folder_task.enqueue(folder=str(folder))).result(60)
    assert counts(kept) == before
    assert len(embedder.passages) == passages == SEGMENTS
    assert (again.documents, again.segments, again.embedded) == (5, SEGMENTS, 0)
    assert len(again.refused) == 3


async def test_after_a_change_the_library_holds_what_the_folder_holds(
    knowledge: Tidemill, kept: Library, folder: Path
) -> None:
    async with running(knowledge):
        await (await index_folder_task.enqueue(folder=str(folder))).result(60)
        (folder / "b.md").unlink()
        (folder / "empty.txt").write_text("No longer empty.")
        (folder / "a.txt").write_text(text("a.txt", 121))
        indexed = await (await index_folder_task.enqueue(folder=str(folder))).result(60)
        found = await (await search_task.enqueue("Paragraph 120 of a.txt", k=1)).result(60)
    assert (indexed.documents, indexed.embedded, len(indexed.refused)) == (5, 2, 2)
    names = {Path(document.name).name for document in kept.documents()}
    assert "b.md" not in names
    assert counts(kept)[:3] == (7, SEGMENTS - 40 + 2, SEGMENTS - 40 + 2)
    assert found[0].document == str(folder / "a.txt")


async def test_two_tasks_for_one_folder_are_one(knowledge: Tidemill, folder: Path) -> None:
    first = await index_folder_task.enqueue(folder=str(folder))
    second = await index_folder_task.enqueue(folder=str(folder))
    assert (second.id, second.duplicate) == (first.id, True)
    await knowledge.close()


async def test_a_folder_that_is_none_fails_at_once_with_its_name(
    knowledge: Tidemill, tmp_path: Path
) -> None:
    async with running(knowledge):
        handle = await index_folder_task.enqueue(folder=str(tmp_path / "gone"))
        with pytest.raises(TaskFailedError, match="gone is not a folder"):
            await handle.result(60)
        assert (await handle.get()).attempt == 1


async def test_an_unknown_document_fails_at_once(knowledge: Tidemill) -> None:
    async with running(knowledge):
        handle = await document_indexing_task.enqueue(document_id="nobody")
        with pytest.raises(TaskFailedError, match="has no document nobody"):
            await handle.result(60)
        assert (await handle.get()).attempt == 1


async def test_a_file_that_changed_since_it_was_registered_is_registered_again(
    knowledge: Tidemill, kept: Library, folder: Path
) -> None:
    path = folder / "a.txt"
    (document_id,) = kept.register([Source(str(path), path)]).new
    path.write_text("It says something else now.")
    async with running(knowledge):
        handle = await document_indexing_task.enqueue(document_id=document_id)
        assert (await handle.result(60)).segments == 1
        assert (await handle.get()).attempt == 2
    assert kept.document(document_id).state is DocumentState.COMPLETED


async def test_progress_never_falls_and_weighs_the_steps(
    knowledge: Tidemill,
    kept: Library,
    home: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each batch waits until the progress of the one before has arrived in the feed."""
    gate = threading.Semaphore(0)
    resource = library_resource(home, CountingEmbedder(gate))
    monkeypatch.setattr(knowledge, "resources", (resource,))
    path = folder / "a.txt"
    (document_id,) = kept.register([Source(str(path), path)]).new
    seen = []
    async with running(knowledge):
        handle = await document_indexing_task.enqueue(document_id=document_id)
        async for entry in handle.events():
            if entry.progress is not None:
                seen.append(entry.progress)
                if entry.progress.step == "indexing" and entry.progress.done != 120:
                    gate.release()
        last = await handle.progress()
    percents = [progress.percent for progress in seen]
    assert percents == sorted(percents)
    before = {"parsing": 0, "cleaning": 10, "splitting": 12, "indexing": 15, "verifying": 95}
    for progress in seen:
        assert progress.done is not None
        assert progress.total is not None
        part = STEPS[progress.step] * progress.done / progress.total
        assert progress.percent == pytest.approx(before[progress.step] + part)
        assert progress.message == str(path)
    batches = [progress.done for progress in seen if progress.step == "indexing"]
    assert list(dict.fromkeys(batches))[:4] == [0, 32, 64, 96]
    assert last is not None
    assert (last.percent, last.step) == (100, "verifying")


async def test_a_cancelled_document_stops_between_batches_and_goes_on_there_later(
    knowledge: Tidemill,
    kept: Library,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each batch waits for the feed, so that the worker hears of the cancel in between."""
    gate = threading.Semaphore(0)
    slow = CountingEmbedder(gate)
    monkeypatch.setattr(knowledge, "resources", (library_resource(home, slow),))
    path = tmp_path / "long.txt"
    path.write_text(text("long", 40 * BATCH_SIZE))
    (document_id,) = kept.register([Source(str(path), path)]).new
    async with running(knowledge):
        handle = await document_indexing_task.enqueue(document_id=document_id)
        cancelled = False
        async for entry in handle.events():
            if entry.progress is not None and entry.progress.step == "indexing":
                if entry.progress.done and not cancelled:
                    cancelled = True
                    await handle.cancel("enough")
                gate.release()
        assert (await handle.get()).state is State.CANCELLED
        stopped = kept.document(document_id)
        assert 0 < stopped.indexed < 40 * BATCH_SIZE
        assert stopped.indexed % BATCH_SIZE == 0
        for _ in range(40):
            gate.release()
        await handle.retry()
        result = await handle.result(60)
    assert result.embedded == 40 * BATCH_SIZE - stopped.indexed
    assert len(slow.passages) == len(set(slow.passages)) == 40 * BATCH_SIZE


async def test_the_command_line_indexes_through_a_worker_and_finds_nothing_before(
    knowledge: Tidemill, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(knowledge):
        assert await asyncio.to_thread(main, ["index", str(folder)]) == 0
        assert await asyncio.to_thread(main, ["index", str(folder / "gone")]) == 1
        await asyncio.to_thread(knowledge.run_blocking, knowledge.close())
    said = capsys.readouterr()
    assert f"5 documents, {SEGMENTS} passages" in said.out
    assert f"{folder / 'zero.docx'}: empty: the file has 0 bytes" in said.out
    assert said.err.count("\n") == 1
    assert "is not a folder" in said.err


def test_the_command_line_says_when_nothing_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMILL_KNOWLEDGE_DIR", str(tmp_path / "nowhere"))
    assert main(["search", "anything"]) == 1
    assert capsys.readouterr().err == f"error: nothing is indexed in {tmp_path / 'nowhere'} yet\n"


def test_documents_have_the_limits_of_their_task() -> None:
    declared = document_indexing_task.task_type
    assert declared.timeout == timedelta(minutes=25)
    assert declared.max_attempts == 4
    assert declared.isolation == "thread"
