"""The command line of the mailroom.

    texts     every sentence, in English and in Chinese
    tree      the commands and their options
    session   what a command works with
    output    tables and JSON; showing: progress
    importing, mails, contexts, accounts, orders, serving: the commands

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 engine unavailable, 130 interrupted.
"""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from tidemill import ConfigError, NotFound, TidemillError
from tidemill_apps.mailroom.cli.texts import Say, choose_language, texts_of
from tidemill_apps.mailroom.cli.tree import parsed

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit code. What goes wrong is one line on standard error."""
    given = list(sys.argv[1:] if argv is None else argv)
    say = Say(texts_of("en"))
    try:
        say = Say(texts_of(choose_language(given, os.environ)))
        said = parsed(say, given)
        return said if isinstance(said, int) else _run(say, said)
    except TidemillError as error:
        return _told(say, error, error.exit_code)
    except FileNotFoundError as error:
        return _told(say, error, NotFound.exit_code)
    except ValueError as error:
        return _told(say, error, ConfigError.exit_code)
    except BrokenPipeError:
        # The reader went away (`… | head`): nothing more can be said, not even at exit.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # closed at exit
        return 1
    except OSError as error:
        return _told(say, error, 1)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(say: Say, said: Namespace) -> int:
    # Everything that takes long to import is behind the parser: a help page does not wait for it.
    from sqlalchemy.exc import SQLAlchemyError

    from tidemill_apps.mailroom.cli.commands import command_called
    from tidemill_apps.mailroom.cli.session import Session
    from tidemill_apps.mailroom.tasks import app

    session = Session(say, said.output, said.user, app)
    try:
        return asyncio.run(command_called(said.command)(session, said))
    except SQLAlchemyError as error:
        return _told(say, error, 1)


def _told(say: Say, error: Exception, code: int) -> int:
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    print(say("error", text=first), file=sys.stderr)
    return code
