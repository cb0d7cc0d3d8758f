"""`mailroom token` and `mailroom serve`: the HTTP API, and who may use it."""

import asyncio
import signal
from argparse import Namespace

from tidemill_apps.mailroom.accounts import new_token
from tidemill_apps.mailroom.cli.output import show_json
from tidemill_apps.mailroom.cli.session import Session
from tidemill_apps.mailroom.cli.telling import note


async def token(session: Session, _: Namespace) -> int:
    """Make a token by which the HTTP API knows the user; the one before it is none any more."""
    async with session.opened() as mailroom:
        user_id = await session.new_user_id(mailroom)
        async with mailroom.database.writing() as writing:
            made = await new_token(writing, user_id)
    if session.form == "json":
        show_json({"user": session.user, "token": made})
    else:
        print(made)
        note(session.say("token.once", user=session.user))
    return 0


async def serve(session: Session, said: Namespace) -> int:
    """Serve the HTTP API until SIGINT or SIGTERM."""
    from tidemill.api.server import listen, serving, url_of
    from tidemill_apps.mailroom.api import DESCRIPTION, create_api

    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    with listen(said.host, said.port, guarded=True) as listening:
        async with (
            session.opened() as mailroom,
            serving(create_api(session.app, mailroom), listening),
        ):
            note(session.say("serve.ready", url=url_of(listening), description=DESCRIPTION))
            await stopping.wait()
    return 0
