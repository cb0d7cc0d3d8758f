"""The command line: the composition root, and one module for each group of commands.

    texts     every sentence that a reader sees, in English and Chinese
    session   what the options that stand anywhere have said
    output    tables, JSON, and lines of JSON
    tree      the commands and their options

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 engine unavailable, 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

from tidemill.cli.masking import masked
from tidemill.cli.texts import Say, choose_language, texts_of
from tidemill.errors import ConfigError, TidemillError

__all__ = ["main"]

PROGRAM = "tidemill"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit code.

    A user's mistake is one line on the standard error; `--debug` adds the traceback.
    """
    import typer

    from tidemill.cli.tree import command_tree

    given = list(sys.argv[1:] if argv is None else argv)
    say = Say(texts_of("en"))
    try:
        say = Say(texts_of(choose_language(given, os.environ)))
        tree = command_tree(say)
        code = tree.main(given, prog_name=PROGRAM, standalone_mode=False, obj=say)
    except TidemillError as error:
        _report(say, say.error(error), debug="--debug" in given)
        return error.exit_code
    except typer.TyperException as error:
        _report(say, say.usage(error.format_message()), debug="--debug" in given)
        print(say("usage.hint"), file=sys.stderr)
        return ConfigError.exit_code
    except typer.Abort:
        _report(say, say("aborted"), debug=False)
        return 1
    except BrokenPipeError:
        # The reader went away (`… | head`): nothing more can be said, not even at exit.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # closed at exit
        return 1
    return code if isinstance(code, int) else 0


def _report(say: Say, text: str, *, debug: bool) -> None:
    if debug:
        import traceback

        print(masked(traceback.format_exc()), end="", file=sys.stderr)
    print(say("error.line", text=" ".join(text.split())), file=sys.stderr)
