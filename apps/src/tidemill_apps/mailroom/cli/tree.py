"""The commands and their options, in the language of the run."""

import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final

from tidemill_apps.mailroom.cli.texts import Say

USER_VARIABLE: Final = "TIDEMILL_MAILROOM_USER"
DEFAULT_USER: Final = "me"

CATEGORIES: Final = ("work", "newsletter", "notification", "personal", "spam")
ORDERS: Final = ("mails", "last", "sentiment")
LABELS: Final = ("spam", "ham", "none")
SECURITIES: Final = ("tls", "starttls", "none")
PORT: Final = 8090


def parsed(say: Say, argv: Sequence[str]) -> Namespace | int:
    """What was said; the exit code where the parser itself has answered, with help or a complaint.

    `command` names the command, such as `account add`.
    """
    printed = StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            said = command_tree(say).parse_args(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        text = say.of_parser(printed.getvalue())
        print(text, end="", file=sys.stderr if code else sys.stdout)
        return code
    anywhere = {
        "output": "table",
        "user": os.environ.get(USER_VARIABLE) or DEFAULT_USER,
        **vars(said),
    }
    return Namespace(**anywhere)


def command_tree(say: Say) -> ArgumentParser:
    """The whole command line; every command takes the options that may stand anywhere."""
    anywhere = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    anywhere.add_argument("--user", metavar="NAME", help=say("option.user", default=DEFAULT_USER))
    anywhere.add_argument("-o", "--output", choices=("table", "json"), help=say("option.output"))
    anywhere.add_argument("--lang", metavar="LANGUAGE", help=say("option.lang"))
    program = ArgumentParser(
        "mailroom",
        description=say("help.program"),
        formatter_class=RawDescriptionHelpFormatter,
        parents=[anywhere],
        allow_abbrev=False,
    )
    branch = _Branch(program, say, anywhere)
    _mails(branch)
    _tasks(branch)
    _contexts(branch.group("context"))
    _accounts(branch.group("account"))
    _programs(branch)
    return program


class _Branch:
    """Commands below one word, or below the program itself."""

    def __init__(
        self, parser: ArgumentParser, say: Say, anywhere: ArgumentParser, prefix: str = ""
    ) -> None:
        self.say = say
        self._anywhere = anywhere
        self._prefix = prefix
        self._commands: Any = parser.add_subparsers(
            metavar=say("tree.command"), title=say("tree.commands"), required=True
        )

    def command(self, name: str) -> ArgumentParser:
        """Add a command; its help is the text of its name."""
        full = f"{self._prefix}{name}"
        parser = self._parser(name, full.replace(" ", "."), [self._anywhere])
        parser.set_defaults(command=full)
        return parser

    def group(self, name: str) -> "_Branch":
        """Add a word that has commands below it."""
        parser = self._parser(name, name, [self._anywhere])
        return _Branch(parser, self.say, self._anywhere, f"{name} ")

    def option(self, parser: ArgumentParser, *names: str, text: str, **said: Any) -> None:
        """Add an option or an argument of a command."""
        parser.add_argument(*names, help=self.say(f"option.{text}"), **said)

    def _parser(self, name: str, text: str, parents: list[ArgumentParser]) -> ArgumentParser:
        told = self.say(f"help.{text}")
        parser: ArgumentParser = self._commands.add_parser(
            name, help=told, description=told, parents=parents, allow_abbrev=False
        )
        return parser


def _mails(branch: _Branch) -> None:
    command = branch.command("import")
    branch.option(command, "path", metavar="FILE.mbox|DIR", type=Path, text="path")
    branch.option(command, "--wait", action="store_true", text="wait.analysis")
    command = branch.command("search")
    branch.option(command, "question", metavar="QUESTION", text="question")
    branch.option(command, "-k", type=number, default=10, metavar="N", text="k")
    _span(branch, command)
    command = branch.command("mails")
    branch.option(command, "--category", choices=CATEGORIES, text="category")
    branch.option(command, "--contact", metavar="ADDRESS", text="contact")
    branch.option(command, "--context", metavar="CONTEXT", text="context")
    spam = command.add_mutually_exclusive_group()
    for flag, value in (("--spam", True), ("--no-spam", False)):
        spam.add_argument(
            flag, dest="spam", action="store_const", const=value, help=branch.say(f"option.{flag}")
        )
    _span(branch, command)
    branch.option(command, "--limit", type=number, default=50, metavar="N", text="limit")
    branch.option(command, "--after", metavar="CURSOR", text="after")
    branch.option(branch.command("show"), "mail", metavar="ID", text="mail")
    command = branch.command("label")
    branch.option(command, "mail", metavar="ID", text="mail")
    branch.option(command, "label", choices=LABELS, text="label")
    command = branch.command("contacts")
    branch.option(command, "--by", choices=ORDERS, default="mails", text="by")
    branch.option(command, "--limit", type=number, default=50, metavar="N", text="limit")
    branch.command("stats")


def _tasks(branch: _Branch) -> None:
    command = branch.command("sync")
    branch.option(command, "account", metavar="ACCOUNT", nargs="?", text="account")
    branch.option(command, "--wait", action="store_true", text="wait")
    for name in ("reindex", "train"):
        branch.option(branch.command(name), "--wait", action="store_true", text="wait")


def _contexts(branch: _Branch) -> None:
    command = branch.command("add")
    branch.option(command, "name", metavar="NAME", text="context.name")
    branch.option(
        command, "-k", "--keyword", action="append", default=[], metavar="WORD", text="keyword"
    )
    branch.option(
        command,
        "-s",
        "--stakeholder",
        action="append",
        default=[],
        metavar="ADDRESS",
        text="stakeholder",
    )
    branch.command("ls")
    branch.option(branch.command("rm"), "context", metavar="CONTEXT", text="context")


def _accounts(branch: _Branch) -> None:
    command = branch.command("add")
    branch.option(command, "host", metavar="HOST", text="host")
    branch.option(command, "username", metavar="USERNAME", text="username")
    branch.option(command, "--security", choices=SECURITIES, default="tls", text="security")
    branch.option(command, "--port", type=int, metavar="PORT", text="port")
    branch.command("ls")
    branch.option(branch.command("rm"), "account", metavar="ACCOUNT", text="account")


def _programs(branch: _Branch) -> None:
    branch.command("token")
    command = branch.command("serve")
    branch.option(command, "--host", default="127.0.0.1", metavar="ADDRESS", text="serve.host")
    branch.option(command, "--port", type=int, default=PORT, metavar="PORT", text="serve.port")


def _span(branch: _Branch, command: ArgumentParser) -> None:
    branch.option(command, "--since", type=date, metavar="DATE", text="since")
    branch.option(command, "--until", type=date, metavar="DATE", text="until")


def date(text: str) -> datetime:
    """A date or an instant; without a zone it is the one of this machine."""
    return datetime.fromisoformat(text).astimezone()


def number(text: str) -> int:
    """How many of something to list."""
    count = int(text)
    if not 1 <= count <= 1000:
        raise ValueError(f"{count} is not within 1..1000")
    return count
