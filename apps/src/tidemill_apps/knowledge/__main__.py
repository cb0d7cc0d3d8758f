"""`python -m tidemill_apps.knowledge index FOLDER`, and `… search QUESTION`."""

import argparse
import sys
from pathlib import Path

from tidemill import TaskCancelledError, TaskFailedError, TidemillError
from tidemill_apps.knowledge.app import LIBRARY, data_directory, open_library
from tidemill_apps.knowledge.search import Passage, search
from tidemill_apps.knowledge.tasks import index_folder_task


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 when it found or indexed something, 1 when not, 2 for a wrong usage."""
    parser = argparse.ArgumentParser("python -m tidemill_apps.knowledge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    index = commands.add_parser("index", help="index a folder; needs a running worker")
    index.add_argument("folder", type=Path)
    ask = commands.add_parser("search", help="print the passages that answer a question")
    ask.add_argument("question")
    ask.add_argument("-k", type=int, default=3, help="how many passages (3)")
    said = parser.parse_args(argv)
    try:
        return _index(said.folder) if said.command == "index" else _search(said.question, said.k)
    except (TidemillError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, TidemillError) else 1


def _index(folder: Path) -> int:
    task = index_folder_task.delay(folder=str(folder.resolve()))
    print(f"task {task.id} waits for a worker: tidemill -A tidemill_apps.knowledge.tasks:app up")
    try:
        indexed = task.result()
    except (TaskFailedError, TaskCancelledError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for refused in indexed.refused:
        print(f"refused  {refused.name}: {refused.code}: {refused.reason}")
    for name in indexed.unfinished:
        print(f"unfinished  {name}")
    print(f"{indexed.documents} documents, {indexed.segments} passages")
    return 0 if indexed.documents and not indexed.unfinished else 1


def _search(question: str, k: int) -> int:
    if not (data_directory() / LIBRARY).is_file():
        raise FileNotFoundError(f"nothing is indexed in {data_directory()} yet")
    with open_library() as library:
        found = search(library, question, k)
    for passage in found:
        print(f"{_shown(passage)}\n")
    return 0 if found else 1


def _shown(passage: Passage) -> str:
    return f"{passage.document}  ({passage.score:.4f})\n{passage.text.strip()}"


if __name__ == "__main__":
    sys.exit(main())
