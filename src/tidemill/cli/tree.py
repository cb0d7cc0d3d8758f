"""The commands and their options as one tree, in the language of the run."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tidemill.cli import (
    alerts,
    api,
    audit,
    backups,
    bench,
    config,
    doctor,
    enqueue,
    failed,
    inspect,
    keys,
    login,
    prune,
    queues,
    reindex,
    schedules,
    serve,
    stats,
    status,
    tasks,
    webhooks,
    workflows,
)
from tidemill.cli.auditing import noted
from tidemill.cli.session import Commands, Form, keep
from tidemill.cli.texts import Say

ANYWHERE = ("app", "engine", "config", "output", "lang", "debug")
"""Options of the program that every command takes as well, so that they may stand anywhere."""

_PYTHON_TYPE = re.compile(r" <(?:list\[)?str\]?>")


class Command(TyperCommand):
    """A command whose help page speaks the language of the run; the audit notes its changes."""

    def get_help(self, ctx: Any) -> str:
        return _page(ctx, super().get_help(ctx))

    def invoke(self, ctx: Any) -> Any:
        with noted(ctx):
            return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands whose help page speaks the language of the run."""

    def get_help(self, ctx: Any) -> str:
        return _page(ctx, super().get_help(ctx))


def _page(ctx: Any, laid_out: str) -> str:
    """A help page in the language of the run, without the Python types of arguments."""
    say: Say = ctx.find_root().obj
    return say.help(_PYTHON_TYPE.sub("", laid_out))


def command_tree(say: Say) -> Any:
    """The whole command line; every help text in it is a key until it is translated here."""
    program = _group(help="program", invoke_without_command=True)
    program.callback()(_program)
    single: Commands = {
        "up": serve.up,
        "worker": serve.worker,
        "scheduler": serve.scheduler,
        "api": api.api,
        "enqueue": enqueue.enqueue,
        "status": status.status,
        "stats": stats.stats,
        "doctor": doctor.doctor,
        "migrate": doctor.migrate,
        "reindex": reindex.reindex,
        "prune": prune.prune,
        "backup": backups.backup,
        "restore": backups.restore,
        "openapi": api.openapi,
        "login": login.login,
    }
    for name, run in single.items():
        program.command(name, help=name, cls=Command)(run)
    groups: Mapping[str, Commands] = {
        "task": tasks.COMMANDS,
        "queue": queues.COMMANDS,
        "failed": failed.COMMANDS,
        "workflow": workflows.COMMANDS,
        "schedule": schedules.COMMANDS,
        "key": keys.COMMANDS,
        "webhook": webhooks.COMMANDS,
        "config": config.COMMANDS,
        "inspect": inspect.COMMANDS,
        "alert": alerts.COMMANDS,
        "bench": bench.COMMANDS,
    }
    for group, commands in groups.items():
        branch = _group(help=group)
        for name, run in commands.items():
            branch.command(name, help=f"{group}.{name}", cls=Command)(run)
        program.add_typer(branch, name=group)
    branch = _group(help="audit", invoke_without_command=True)
    branch.callback()(audit.listed)
    for name, run in audit.COMMANDS.items():
        branch.command(name, help=f"audit.{name}", cls=Command)(run)
    program.add_typer(branch, name="audit")
    tree: Any = get_command(program)
    anywhere = [param for param in tree.params if param.name in ANYWHERE]
    for command in _commands(tree):
        if command is not tree:
            command.params.extend(anywhere)
        _translate(command, say)
    return tree


def _group(**settings: Any) -> typer.Typer:
    return typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        subcommand_metavar="COMMAND",
        **settings,
    )


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _commands(inner)


def _translate(command: Any, say: Say) -> None:
    command.help = say(f"help.{command.help}")
    for param in command.params:
        if param.name in ("install_completion", "show_completion"):
            param.help = say(f"option.{param.name}")
        elif param.help and param.help.startswith("option."):
            param.help = say(param.help)
        if param.metavar is None and not (param.is_flag or param.name == "output"):
            param.metavar = param.name.upper()


def _version(value: bool) -> None:
    if value:
        from tidemill import __version__

        print(__version__)
        raise typer.Exit


def _program(
    context: typer.Context,
    app: Annotated[
        str | None,
        typer.Option(
            "-A",
            "--app",
            metavar="MODULE:NAME",
            help="option.app",
            callback=keep,
            expose_value=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine", metavar="URL", help="option.engine", callback=keep, expose_value=False
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config", metavar="FILE", help="option.config", callback=keep, expose_value=False
        ),
    ] = None,
    output: Annotated[
        Form | None,
        typer.Option("-o", "--output", help="option.output", callback=keep, expose_value=False),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option("--lang", metavar="LANGUAGE", help="option.lang", expose_value=False),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="option.debug", expose_value=False)
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="option.version", callback=_version, is_eager=True, expose_value=False
        ),
    ] = False,
) -> None:
    """Print the help page when no command is given."""
    del app, engine, config, output, lang, debug, version  # their callbacks have taken them
    if context.invoked_subcommand is None:
        print(context.get_help())
