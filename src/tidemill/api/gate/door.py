"""The gate itself: an ASGI application before another one."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

import msgspec

from tidemill.access import FULL, Access
from tidemill.api.gate.asking import Asked
from tidemill.api.gate.lasting import Message, Send, while_good
from tidemill.api.gate.pace import Headers, Pace
from tidemill.api.gate.strict import strict
from tidemill.api.problems import MEDIA_TYPE, Refused, refusal_of, refused
from tidemill.api.routing import ACCESS
from tidemill.errors import EngineError, RateLimited, TidemillError, Unauthenticated

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

Authenticate = Callable[[Mapping[str, Any]], Awaitable[Access | None]]
"""From the ASGI scope of a request to what it proves; None refuses it with 401."""

_POLICY_VIOLATION: Final = 1008


async def trusted(scope: Mapping[str, Any]) -> Access:  # noqa: ARG001  # it is an `Authenticate`
    """Let everybody do everything.

    For tests, and for an interface that is mounted behind a gate of your own. Nothing checks that
    there is one.
    """
    return Access(who="trusted", subject="trusted", scopes=FULL)


class Gate:
    """Lets requests through that may pass, with what they proved in their scope.

    `public` are paths that need no credentials. `hosts` are the names that may be asked for, None
    for any: where only this machine can connect, a page in its browser could otherwise reach the
    interface under a name of its own that leads to the loopback (DNS rebinding).
    """

    def __init__(
        self,
        inner: Asgi,
        authenticate: Callable[[Asked], Awaitable[Access | None]],
        *,
        public: frozenset[str],
        hosts: frozenset[str] | None,
    ) -> None:
        self._inner = inner
        self._authenticate = authenticate
        self._public = public
        self._hosts = hosts
        self._pace = Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        told: Headers = []

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = strict([*message.get("headers", ()), *told])
            await send(message)

        try:
            asked = Asked.of(scope)
            access = await self._admit(asked)
            if access is not None:
                told, wait = self._pace.count(access)
                if wait:
                    raise RateLimited(wait)  # answered as any refusal
        except (TidemillError, Refused) as error:
            await _refuse(error, answer)
            return
        scope.pop(ACCESS, None)
        if access is not None:
            scope[ACCESS] = access
            await self._inner(
                scope, receive, while_good(answer, partial(self._good, asked, access))
            )
        else:
            await self._inner(scope, receive, answer)

    async def _good(self, asked: Asked, access: Access) -> bool:
        """Whether a request still proves the same; yes while the engine cannot tell.

        Without its engine the interface has nothing to write either.
        """
        try:
            return await self._authenticate(asked) == access
        except EngineError:
            return True
        except (TidemillError, Refused):
            return False

    async def _admit(self, asked: Asked) -> Access | None:
        """What a request proves, None where it needs nothing; raises what refuses it."""
        if self._hosts is not None and not asked.is_for(self._hosts):
            raise refused(
                "wrong-host",
                421,
                "The server is not asked for by this name.",
                "The server does not know itself by the name in the Host header: "
                "server.allowed_hosts lists other names.",
            )
        access = None
        if asked.path not in self._public:
            access = await self._authenticate(asked)
            if access is None:
                raise Unauthenticated
        if asked.forged:
            raise refused(
                "cross-site",
                403,
                "The request seems to come from another site.",
                "A change that a browser makes with a cookie must come from a page of this server.",
            )
        return access


async def _refuse(error: TidemillError | Refused, send: Send) -> None:
    problem, headers = refusal_of(error)
    body = msgspec.json.encode(problem)
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [
                (b"content-type", MEDIA_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                *encoded,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
