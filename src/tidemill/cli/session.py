"""What the options that may stand anywhere have said, and the way to an application with them."""

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import typer

from tidemill.app import Tidemill
from tidemill.cli.texts import Say
from tidemill.engine import Engine
from tidemill.errors import ConfigError
from tidemill.settings import FORMER_KEYS_VARIABLE, KEY_VARIABLE

if TYPE_CHECKING:
    from tidemill.configuration import Configuration, Loaded

T = TypeVar("T")
APP_VARIABLE, URL_VARIABLE = "TIDEMILL_APP", "TIDEMILL_URL"
_PLACE = "tidemill."

Commands = Mapping[str, Callable[..., None]]
"""The commands of a group by name."""


class Form(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line.

    For `app_path` and `url`, flags have won over the environment, and that over the configuration,
    which is kept as it was loaded.
    """

    app_path: str | None
    url: str | None
    form: Form
    say: Say
    loaded: "Loaded"

    @classmethod
    def of(cls, context: typer.Context) -> "Session":
        """The session of the command that runs; raises `ConfigError` for a wrong configuration."""
        session = cls.unchecked(context)
        session.loaded.checked()
        return session

    @classmethod
    def unchecked(cls, context: typer.Context, file: Path | None = None) -> "Session":
        """The session of a command that looks at the configuration itself, of another file too."""
        from tidemill.configuration import load

        said = context.meta
        loaded = load(file or config_file(context), os.environ)
        told = loaded.configuration
        return cls(
            app_path=said.get(f"{_PLACE}app") or os.environ.get(APP_VARIABLE) or told.app,
            url=said.get(f"{_PLACE}engine") or os.environ.get(URL_VARIABLE) or told.url,
            form=said.get(f"{_PLACE}output", Form.TABLE),
            say=context.obj,
            loaded=loaded,
        )

    @property
    def configuration(self) -> "Configuration":
        """What the file and the environment say."""
        return self.loaded.configuration

    def app(self) -> Tidemill:
        """The application that `-A` names; raises `ConfigError` when none is named."""
        from tidemill.cli.loading import load_app

        path = self.needs_app()
        self._tell_environment()
        return self._configured(load_app(path, self.say))

    def needs_app(self) -> str:
        """Where the application is; raises `ConfigError` when none is named."""
        if self.app_path is None:
            raise ConfigError(self.say("app.needed"))
        return self.app_path

    def operator(self) -> Tidemill:
        """What operates on an engine: the named application, or an empty one on the named URL."""
        if self.app_path is not None:
            return self.app()
        if self.url is None:
            raise ConfigError(self.say("engine.needed"))
        self._tell_environment()
        return self._configured(Tidemill(self.url))

    def _configured(self, app: Tidemill) -> Tidemill:
        """The application with the sections that a configuration has and code has not to know."""
        said = {
            name: getattr(self.configuration, name)
            for name in ("alerts", "webhooks")
            if self.loaded.said(name)
        }
        app.settings = msgspec.structs.replace(app.settings, **said)
        return app

    def _tell_environment(self) -> None:
        """Let what was said reach the application's code and the processes that it starts."""
        if self.loaded.file is not None:
            from tidemill.configuration import VARIABLE

            os.environ[VARIABLE] = str(self.loaded.file.resolve())
        if self.url is not None:
            os.environ[URL_VARIABLE] = self.url
        security = self.configuration.security
        if security.encryption_key is not None:
            os.environ[KEY_VARIABLE] = security.encryption_key
        if security.former_encryption_keys:
            os.environ[FORMER_KEYS_VARIABLE] = ",".join(security.former_encryption_keys)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Tidemill, Engine]]:
        """The operator with its engine open."""
        operator = self.operator()
        engine = await operator.engine()
        try:
            yield operator, engine
        finally:
            await operator.close()

    def run(self, work: Callable[[Tidemill, Engine], Coroutine[Any, Any, T]]) -> T:
        """Do something with the operator and its open engine, and close it."""
        import asyncio

        async def opened() -> T:
            async with self.opened() as (operator, engine):
                return await work(operator, engine)

        return asyncio.run(opened())


def config_file(context: typer.Context) -> Path | None:
    """The configuration: that of `--config`, of the environment, else the one in this folder."""
    from tidemill.configuration import find

    named = context.meta.get(f"{_PLACE}config")
    return Path(named) if named else find(os.environ)


def keep(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """Remember the value of an option that may stand anywhere; the last one said stays."""
    if value is not None and param.name is not None:
        context.meta[_PLACE + param.name] = value
    return value
