"""`python -m tidemill_apps.mailroom.demo`: sync, understand, search, verify, and end."""

import argparse
import asyncio
import io
import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tidemill import TidemillError
from tidemill_apps.mailroom.demo.home import FOLDER, settle_in, variables
from tidemill_apps.mailroom.demo.mail_server import installed, mail_server
from tidemill_apps.mailroom.demo.mails import OWNER, mailbox
from tidemill_apps.mailroom.demo.texts import Say, texts_for


def _run(say: Say) -> int:
    started = time.perf_counter()
    folder = settle_in(os.environ)
    from tidemill_apps.mailroom.demo import story  # noqa: PLC0415  # it asks where the mailroom is

    mails = mailbox(datetime.now(UTC))
    with ExitStack() as stack:
        port, letters = None, folder / "letters"
        if installed():
            serving = mail_server(OWNER, mails, folder / "pymap.txt")
            port = stack.enter_context(serving)
            print(say.serving.format(n=len(mails), port=port))
        else:
            _write(mails, letters)
            print(say.imported.format(n=len(mails), folder=_here(letters)))
        code = asyncio.run(story.run(say, port=port, letters=letters))
    print(say.took.format(seconds=time.perf_counter() - started))
    _show_next(say, folder)
    return code


def _write(mails: list[bytes], letters: Path) -> None:
    letters.mkdir()
    for number, mail in enumerate(mails):
        (letters / f"{number:02}.eml").write_bytes(mail)


def _show_next(say: Say, folder: Path) -> None:
    programs = Path(sys.executable).parent
    names = {
        "tidemill": _here(programs / "tidemill"),
        "mailroom": f"{_here(Path(sys.executable))} -m tidemill_apps.mailroom",
        "app": "tidemill_apps.mailroom.tasks:app",
    }
    print(f"\n{say.next.format(folder=_here(folder))}")
    told = " ".join(f"{name}={value}" for name, value in variables(FOLDER).items())
    print(f"  export {told}")
    for command, what in say.commands:
        print(f"  {command.format(**names):<78}  {what}")


def _here(path: Path) -> str:
    """A path as one would type it in the working directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 1 when something came out otherwise than it should."""
    argparse.ArgumentParser(
        "python -m tidemill_apps.mailroom.demo",
        description=f"{__doc__} Everything is kept in {FOLDER}, which is made anew each time.",
    ).parse_args(argv)
    say = texts_for(os.environ)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show Chinese
    try:
        return _run(say)
    except KeyboardInterrupt:
        print(say.interrupted, file=sys.stderr)
        return 130
    except (TidemillError, OSError) as error:
        print(say.error.format(text=error), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
