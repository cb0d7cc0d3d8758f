"""Signing a browser in and out.

Opening the link changes nothing, so that a program that looks at links does not use it up: the
button does.
"""

from typing import Any, Final
from urllib.parse import parse_qs

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from tidemill.access import Access
from tidemill.api.gate.asking import Asked, session_cookie
from tidemill.api.pages import form, link, page, sentence
from tidemill.api.routing import ACCESS, PREFIX
from tidemill.app import Tidemill
from tidemill.app.credentials.logins import SESSION_FOR

LOGIN: Final = "/login"
_LONGEST_FORM: Final = 4096
_ANOTHER: Final = (
    "“tidemill login” on the server makes a link.",
    "在服务器上运行 tidemill login 可得到登录链接。",
)

Asking = Request[Any, Any, Any]


@get(LOGIN, include_in_schema=False)
async def show_login(request: Asking) -> Response[str]:
    """Show a button that signs in."""
    token = request.query_params.get("token")
    if not token:
        return page(200, sentence(*_ANOTHER))
    return page(
        200,
        sentence("Sign in to this server?", "要登录这台服务器吗？"),
        form("login", "Sign in", "登录", token=token),
    )


@post(LOGIN, include_in_schema=False, status_code=303, request_max_body_size=_LONGEST_FORM)
async def log_in(request: Asking) -> Response[str]:
    """Use a link up, and begin a session."""
    given = parse_qs((await request.body()).decode("utf-8", "replace"))
    secret = await _app(request).logins.redeem(given.get("token", [""])[0])
    if secret is None:
        return page(
            403,
            sentence("This link was used already, or is too old.", "此链接已被使用，或已经过期。"),
            sentence(*_ANOTHER),
        )
    return _turn(request, "/", secret, int(SESSION_FOR.total_seconds()))


@post("/logout", include_in_schema=False, status_code=303, request_max_body_size=_LONGEST_FORM)
async def log_out(request: Asking) -> Response[str]:
    """End the session."""
    secret = Asked.of(request.scope).session
    if secret is not None:
        await _app(request).logins.end(secret.decode("latin-1"))
    return _turn(request, LOGIN, "", 0)


@get("/", include_in_schema=False)
async def show_start(request: Asking) -> Response[str]:
    """Tell who is signed in."""
    access: Access = request.scope[ACCESS]  # type: ignore[typeddict-item]  # the gate's
    return page(
        200,
        sentence(f"You are signed in as {access.who}.", f"已登录：{access.who}"),
        link(f"{PREFIX[1:]}/openapi.json", "OpenAPI"),
        form("logout", "Sign out", "退出登录"),
    )


def _app(request: Asking) -> Tidemill:
    app: Tidemill = request.app.state["services"].here().app
    return app


def _turn(request: Asking, path: str, secret: str, seconds: int) -> Response[str]:
    """Go on to another page, with a cookie that lasts so long."""
    asked = Asked.of(request.scope)
    cookie = (
        f"{session_cookie(asked)}={secret}; Path={asked.root or '/'}; Max-Age={seconds}; "
        f"HttpOnly; SameSite=Strict{'; Secure' if asked.secure else ''}"
    )
    headers = {"Location": f"{asked.root}{path}", "Set-Cookie": cookie}
    return Response("", status_code=303, headers=headers, media_type="text/plain")


HANDLERS: list[HTTPRouteHandler] = [show_login, log_in, log_out, show_start]
