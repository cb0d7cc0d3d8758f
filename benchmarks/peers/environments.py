"""Where peers are installed: `.venv-bench` beside `.venv`, made when one is first measured."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PEERS = Path(__file__).parent
ROOT = PEERS.parents[1]
HOME = ROOT / ".venv-bench"
REQUIREMENTS = ROOT / "requirements"
NODE_FILES = ("package.json", "package-lock.json")

Make = Callable[[Path, list[Path]], None]


def prepared(home: str) -> dict[str, str]:
    """The variables under which the programs of an environment are found; it is installed first.

    `bench` and `bench-arq` hold what the files of that name under `requirements/` pin, `bullmq`
    what its lock file pins; the empty name stands for this environment.
    """
    folder = HOME / home
    if not home:
        return {}
    if home == "bullmq":
        _once(folder, [PEERS / home / name for name in NODE_FILES], _node)
        return {"NODE_PATH": str(folder / "node_modules")}
    _once(folder, [REQUIREMENTS / f"{home}.txt"], _python)
    return {"PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])}


def _python(folder: Path, wanted: list[Path]) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    words = ("-m", "pip", "install", "-qq", "--require-hashes", "--requirement")
    subprocess.run([python, *words, *wanted], check=True)


def _node(folder: Path, wanted: list[Path]) -> None:
    folder.mkdir(parents=True)
    for file in wanted:
        shutil.copy(file, folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run(["npm", "ci", *quiet], check=True, cwd=folder, stdout=subprocess.DEVNULL)


def pinned(package: str, name: str) -> str:
    """The version of a package in `requirements/<name>.txt`."""
    text = (REQUIREMENTS / f"{name}.txt").read_text("utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"requirements/{name}.txt does not pin {package}")
    return found[1]


def _once(folder: Path, wanted: list[Path], make: Make) -> None:
    """Make a folder anew unless it was made of these very files."""
    stamp = folder / ".made-of"
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in wanted)).hexdigest()
    if stamp.exists() and stamp.read_text("utf-8") == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n", "utf-8")
    print(f"installing {folder.name} …", file=sys.stderr, end=" ", flush=True)
    make(folder, wanted)
    stamp.write_text(digest, "utf-8")
