"""`python -m tidemill_apps.knowledge.demo`: index, ask, verify, and end; `--keep` keeps running."""

import argparse
import asyncio
import io
import os
import signal
import sys
import textwrap
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from tidemill import Handle, Node, TidemillError
from tidemill_apps.knowledge.app import data_directory
from tidemill_apps.knowledge.corpus import collect_demo
from tidemill_apps.knowledge.demo.board import Board
from tidemill_apps.knowledge.demo.display import display_for
from tidemill_apps.knowledge.demo.texts import Say, texts_for
from tidemill_apps.knowledge.questions import QUESTIONS, Question
from tidemill_apps.knowledge.search import Passage
from tidemill_apps.knowledge.tasks import (
    IndexedFolder,
    app,
    document_indexing_task,
    index_folder_task,
    search_task,
)

_PATIENCE = timedelta(seconds=1)
_TEXT_WIDTH = 150


async def run(say: Say, *, keep: bool) -> int:
    """Start everything, show the demo, and drain; 0 if every expectation came true."""
    node = Node(app)
    try:
        async with asyncio.TaskGroup() as system:
            system.create_task(node.run())
            code = await _demo(say)
            if keep:
                await _until_stopped(say)
            node.drain("the demo is over")
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed  # the first one made the others end
    finally:
        await app.close()
    if keep:
        print(say.stopped)
    return code


async def _demo(say: Say) -> int:
    started = time.perf_counter()
    folder = data_directory().resolve() / "documents"
    bad = await asyncio.to_thread(collect_demo, folder)
    count = sum(path.is_file() for path in folder.glob("[!.]*/**/*"))
    seconds = time.perf_counter() - started
    print(say.collected.format(n=count, folder=_here(folder), seconds=seconds))
    print(say.started.format(url=app.settings.url))
    problem = await _index(say, folder, bad)
    print(f"\n{say.asking}")
    asked = time.perf_counter()
    answers = [await search_task.enqueue(question.text) for question in QUESTIONS]
    for question, answer in zip(QUESTIONS, answers, strict=True):
        problem = show_answer(say, question, await answer.result(), folder) or problem
    now = time.perf_counter()
    print(f"\n{say.answered.format(seconds=now - asked, total=now - started)}")
    counts = ", ".join(f"{state} {count}" for state, count in (await _counts()).items())
    print(say.counts.format(counts=counts))
    _show_next(say)
    if problem:
        print(f"\n{problem}")
    return 1 if problem else 0


async def _index(say: Say, folder: Path, bad: frozenset[str]) -> str:
    """Index the folder and tell what became of it; answers what is wrong with that, or nothing."""
    started = time.perf_counter()
    engine = await app.engine()
    end_of_feed = (await engine.feed(None, 1, timedelta())).cursor
    handle = await index_folder_task.enqueue(folder=str(folder))
    await _watch(say, handle, end_of_feed, folder)
    indexed = await handle.result()
    seconds = time.perf_counter() - started
    print(
        say.indexed.format(
            documents=indexed.documents,
            segments=indexed.segments,
            embedded=indexed.embedded,
            seconds=seconds,
            rate=indexed.documents / seconds,
        )
    )
    print(say.refused.format(n=len(indexed.refused)))
    refused = {_in_folder(each.name, folder) for each in indexed.refused}
    wrong = sorted({_in_folder(name, folder) for name in indexed.unfinished} | (refused ^ bad))
    return say.lost.format(names=", ".join(wrong)) if wrong else ""


async def _watch(say: Say, handle: Handle[IndexedFolder], cursor: str, folder: Path) -> None:
    """Show the way of the documents until the folder's task has ended."""
    engine = await app.engine()
    live = await _counts(live_only=document_indexing_task.name)
    board = Board(document_indexing_task.name, live.total())
    with display_for(say, folder) as display:
        ended = False
        while not ended:
            page = await engine.feed(cursor, 500, _PATIENCE)
            cursor = page.cursor
            for failed in board.take(page.entries):
                error = (await app.handle(failed).get()).error
                reason = error.message if error else ""
                display.note(say.failed.format(reason=reason.replace(f"{folder}{os.sep}", "")))
            display.show(board)
            ended = any(each.task_id == handle.id and each.state.final for each in page.entries)
            if not page.entries or page.cut:
                ended = (await handle.state()).final


def show_answer(say: Say, question: Question, passages: list[Passage], folder: Path) -> str:
    """Print the passages; answers what is wrong with them, or nothing."""
    print(f"\n{question.text}")
    for rank, passage in enumerate(passages, start=1):
        name = _in_folder(passage.document, folder)
        print(say.answer.format(rank=rank, document=name, score=passage.score))
        print(f"     {textwrap.shorten(passage.text, _TEXT_WIDTH, placeholder=' …')}")
    ranks = [
        rank
        for rank, passage in enumerate(passages, start=1)
        if passage.document.endswith(question.expected)
    ]
    if not ranks:
        return say.missed.format(expected=question.expected, k=len(passages))
    print(say.found.format(expected=question.expected, rank=ranks[0]))
    return ""


async def _counts(live_only: str | None = None) -> Counter[str]:
    """Tasks by state: all of them, or those of one task type that have not ended."""
    counts: Counter[str] = Counter()
    for each in (await (await app.engine()).stats()).counts:
        if live_only is None or (each.task_type == live_only and not each.state.final):
            counts[each.state] += each.count
    return counts


def _show_next(say: Say) -> None:
    programs = Path(sys.executable).parent
    names = {
        "tidemill": _here(programs / "tidemill"),
        "python": _here(Path(sys.executable)),
        "package": "tidemill_apps.knowledge",
        "app": "tidemill_apps.knowledge.tasks:app",
    }
    print(say.next)
    for command, what in say.commands:
        print(f"  {command.format(**names):<78}  {what.format(**names)}")


async def _until_stopped(say: Say) -> None:
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    print(say.keeping, flush=True)
    await stopped.wait()


def _in_folder(name: str, folder: Path) -> str:
    return Path(name).relative_to(folder).as_posix()


def _here(path: Path) -> str:
    """A path as one would type it in the working directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 1 when something came out otherwise than it should."""
    parser = argparse.ArgumentParser("python -m tidemill_apps.knowledge.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep running until Ctrl-C")
    keep = parser.parse_args(argv).keep
    say = texts_for(os.environ)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show Chinese
    try:
        return asyncio.run(run(say, keep=keep))
    except KeyboardInterrupt:
        print(say.interrupted, file=sys.stderr)
        return 130
    except (TidemillError, OSError) as error:
        print(say.error.format(text=error), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
