"""The HTTP API of the mailroom: an ASGI application for the users who have a token.

asking     who asks, and what a route works with
bodies     what clients send
mails      mails, search, statistics; people: contacts, contexts, accounts
problems   what went wrong, as the client reads it
"""

from pathlib import PurePosixPath
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

import tidemill_apps
from tidemill import Tidemill
from tidemill_apps.mailroom.api import mails, people
from tidemill_apps.mailroom.api.asking import known_user
from tidemill_apps.mailroom.api.bodies import BIGGEST_BODY
from tidemill_apps.mailroom.api.problems import handlers
from tidemill_apps.mailroom.opening import Mailroom

__all__ = ["DESCRIPTION", "create_api"]

DESCRIPTION: Final = "/schema/openapi.json"
"""Where the API is described."""


def create_api(app: Tidemill, mailroom: Mailroom) -> Litestar:
    """The routes over an open mailroom; its description is at `DESCRIPTION`.

    Everything but that needs the token of a user, as `Authorization: Bearer TOKEN`, and shows what
    is theirs. `app` has the tasks of the mailroom; whoever opened it closes it.
    """
    routes = Router(
        "/",
        route_handlers=[*mails.HANDLERS, *people.HANDLERS],
        guards=[known_user],
        security=[{"bearer": []}],
    )
    return Litestar(
        [routes],
        exception_handlers=handlers(),
        state=State({"app": app, "mailroom": mailroom}),
        request_max_body_size=BIGGEST_BODY,
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="Tidemill mailroom",
            version=tidemill_apps.__version__,
            description="Mail that is fetched, told from spam, summed up, and found again.",
            path=str(PurePosixPath(DESCRIPTION).parent),
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}
            ),
            render_plugins=[JsonRenderPlugin(path=f"/{PurePosixPath(DESCRIPTION).name}")],
        ),
    )
