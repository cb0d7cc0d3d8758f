"""Which function a command is."""

from argparse import Namespace
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

from tidemill_apps.mailroom.cli import accounts, contexts, importing, mails, orders, serving
from tidemill_apps.mailroom.cli.session import Session

Command: TypeAlias = Callable[[Session, Namespace], Coroutine[Any, Any, int]]
"""Does what was said, and answers the exit code."""

_COMMANDS: Final[Mapping[str, Command]] = {
    "import": importing.import_,
    "search": mails.search,
    "mails": mails.listed,
    "show": mails.show_mail,
    "label": mails.label_mail,
    "contacts": mails.contacts,
    "stats": mails.statistics,
    "context add": contexts.add,
    "context ls": contexts.listed,
    "context rm": contexts.remove,
    "account add": accounts.add,
    "account ls": accounts.listed,
    "account rm": accounts.remove,
    "sync": orders.sync,
    "reindex": orders.reindex,
    "train": orders.train,
    "token": serving.token,
    "serve": serving.serve,
}


def command_called(name: str) -> Command:
    """The function of a command, such as `account add`."""
    return _COMMANDS[name]
