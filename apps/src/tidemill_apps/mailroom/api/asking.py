"""Who asks, and what a route works with."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidemill import Tidemill, Unauthenticated
from tidemill_apps.mailroom.accounts import user_of
from tidemill_apps.mailroom.opening import Mailroom

_SCHEME: Final = "bearer"


@dataclass(frozen=True, slots=True)
class Asking:
    """A request of a user whose token was valid."""

    app: Tidemill
    mailroom: Mailroom
    user_id: str


Asked: TypeAlias = Request[Any, Any, Any]


async def known_user(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let in whoever brings the token of a user; `Unauthenticated` else.

    It runs before anything of the request is read but its headers.
    """
    match connection.headers.get("authorization", "").split():
        case [scheme, token] if scheme.lower() == _SCHEME:
            pass
        case _:
            raise Unauthenticated
    mailroom: Mailroom = connection.app.state["mailroom"]
    async with mailroom.database.reading() as session:
        user_id = await user_of(session, token)
    if user_id is None:
        raise Unauthenticated
    connection.state.user_id = user_id


def asking(request: Asked) -> Asking:
    """What a route works with, once `known_user` has let the request in."""
    state = request.app.state
    return Asking(state["app"], state["mailroom"], request.state.user_id)
