"""What a command works with: the language, the form of answers, the user, the open mailroom."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tidemill import NotFound, Tidemill
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.cli.texts import Say
from tidemill_apps.mailroom.opening import Mailroom, open_mailroom
from tidemill_apps.mailroom.reading import user_called
from tidemill_apps.mailroom.settings import Place

Form: TypeAlias = Literal["table", "json"]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line."""

    say: Say
    form: Form
    user: str
    app: Tidemill

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Mailroom]:
        """The open mailroom; the engine is closed after it."""
        try:
            async with open_mailroom(self.app, Place.of(os.environ)) as mailroom:
                yield mailroom
        finally:
            await self.app.close()

    async def user_id(self, mailroom: Mailroom) -> str:
        """The id of the user; `NotFound` if nobody is called so."""
        async with mailroom.database.reading() as session:
            found = await user_called(session, self.user)
        if found is None:
            raise NotFound(self.say("user.unknown", user=self.user))
        return found

    async def new_user_id(self, mailroom: Mailroom) -> str:
        """The id of the user, who is made where nobody is called so."""
        async with mailroom.database.writing() as session:
            return await user_named(session, self.user)
