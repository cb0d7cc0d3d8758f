"""`tidemill doctor` and `tidemill migrate`: whether everything here is fit to run tasks."""

import asyncio
import platform
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import Listing, show, show_one
from tidemill.cli.promises import durability
from tidemill.cli.records import plain
from tidemill.cli.session import Session
from tidemill.cli.texts import Say
from tidemill.engine import Engine, EngineInfo
from tidemill.engines import Indexed
from tidemill.engines.sealed import stored
from tidemill.errors import ConfigError, TidemillError
from tidemill.sealing import Keyring
from tidemill.settings import Settings

_LOW_SPACE = 256 * 1024 * 1024
"""Bytes of free disk below which a store will soon be full."""


class Level(StrEnum):
    """What a finding means for the operator."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `exit_code` is that of the error that was found."""

    about: str
    text: str
    level: Level = Level.OK
    exit_code: int = 0


def doctor(context: typer.Context) -> None:
    """Look at the installation, the application and the engine; ends with 0 if they are fit."""
    session = Session.of(context)
    findings = [*_interpreter(session.say), *_application(session), *_engine(session)]
    records = [
        {"about": each.about, "level": each.level.value, "text": each.text} for each in findings
    ]
    columns = {
        "column.about": lambda record: session.say(f"doctor.{record['about']}"),
        "column.level": lambda record: session.say(f"level.{record['level']}"),
        "column.finding": lambda record: record["text"],
    }
    show(session, Listing("findings", records, columns, wrapped="column.finding"))
    code = max(each.exit_code for each in findings)
    if code:
        raise typer.Exit(code)


def _interpreter(say: Say) -> Iterable[Finding]:
    import tidemill

    place = Path(tidemill.__file__).parent
    yield Finding("tidemill", f"{tidemill.__version__} ({place})")
    yield Finding(
        "python",
        f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
    )
    yield Finding("import_path", say("doctor.folders", first=str(Path.cwd()), count=len(sys.path)))


def _application(session: Session) -> Iterable[Finding]:
    say = session.say
    if session.app_path is None:
        yield Finding("app", say("doctor.no_app"))
        return
    try:
        app = session.app()
    except TidemillError as error:
        yield Finding("app", say.error(error), Level.FAILURE, error.exit_code)
        return
    queues = sorted({app.queue_of(name) for name in app.task_types})
    text = say(
        "doctor.app_found",
        path=session.app_path,
        types=len(app.task_types),
        queues=", ".join(queues) or say("none"),
    )
    yield Finding("app", text, Level.OK if app.task_types else Level.WARNING)


def _engine(session: Session) -> Iterable[Finding]:
    try:
        info, behind, settings = asyncio.run(_opened(session))
    except TidemillError as error:
        yield Finding("engine", session.say.error(error), Level.FAILURE, error.exit_code)
        return
    say = session.say
    yield Finding("engine", f"{info.name} ({info.location})")
    yield from (Finding(about, text) for about, text in _versions(info, say))
    yield Finding("durability", durability(info, say))
    yield Finding("order", say(f"order.{info.ordered}"))
    yield Finding("atomic", say(f"atomic.{info.atomic}"))
    yield Finding("encryption", _encryption(settings, say))
    if behind is not None:
        text = say("index.behind", count=f"{behind:,}") if behind else say("index.current")
        yield Finding("index", text)
    if info.name == "sqlite":
        yield from _sqlite(info, say)
    yield from (Finding("warning", text, Level.WARNING) for text in info.warnings)


def _encryption(settings: Settings, say: Say) -> str:
    """Whether what is stored is encrypted, and by which keys, as their ids tell."""
    keys = Keyring.of(settings.encryption_key, settings.former_encryption_keys)
    if keys is None:
        return say("doctor.encryption_off")
    former = ", ".join(keys.former_ids) or say("none")
    if keys.current_id is None:
        return say("doctor.encryption_read", former=former)
    return say("doctor.encryption_on", key=keys.current_id, former=former)


async def _opened(session: Session) -> tuple[EngineInfo, int | None, Settings]:
    """What the engine is, how far its search index is behind if it has one, and the settings."""
    async with session.opened() as (operator, engine):
        kept = stored(engine)
        behind = await kept.unindexed() if isinstance(kept, Indexed) else None
        return engine.info, behind, operator.settings


def _versions(info: EngineInfo, say: Say) -> Iterable[tuple[str, str]]:
    for name, version in info.versions.items():
        match name:
            case "mode":
                yield "servers", say(f"mode.{version}")
            case "format":
                yield "format", say("doctor.format_number", number=version)
            case _:
                yield "version", f"{name} {version}"


def _sqlite(info: EngineInfo, say: Say) -> Iterable[Finding]:
    import sqlite3

    if not info.warnings:
        yield Finding("sqlite", say("doctor.sqlite_safe", version=info.versions.get("sqlite", "?")))
    yield Finding("sqlite", say("doctor.sqlite_other", version=sqlite3.sqlite_version))
    yield from _disk(Path(info.location), say)


def _disk(file: Path, say: Say) -> Iterable[Finding]:
    import psutil

    folder = file.resolve().parent
    if not folder.is_dir():
        return
    kinds = {each.mountpoint: each.fstype for each in psutil.disk_partitions(all=True)}
    mount = next((str(each) for each in (folder, *folder.parents) if str(each) in kinds), "")
    free = shutil.disk_usage(folder).free
    text = say("doctor.disk", kind=kinds.get(mount, "?"), free=f"{free / 2**30:.1f} GiB")
    yield Finding("file_system", text, Level.WARNING if free < _LOW_SPACE else Level.OK)


def migrate(context: typer.Context) -> None:
    """Bring the engine's store to this version's layout."""
    session = Session.of(context)

    async def run(_: Tidemill, engine: Engine) -> EngineInfo:
        # Opening migrates; asking again proves that it holds.
        await engine.migrate()
        return engine.info

    if session.app_path is None and session.url is None:
        raise ConfigError(session.say("engine.needed"))
    info = session.run(run)
    lines = {
        "doctor.engine": f"{info.name} ({info.location})",
        "doctor.version": ", ".join(f"{name} {text}" for name, text in info.versions.items()),
    }
    show_one(session, plain(info), lines)
