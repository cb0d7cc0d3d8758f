"""Secrets that can be told from everything else, and an application that tells all it knows.

A canary is letters and digits that stand nowhere else, so that it is found in whatever form a text
has. What `application` does with one is what careless code does: it logs it, reports it, raises it.
"""

import asyncio
import base64
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from tidemill import Context, Secret, Settings, Tidemill

OPEN = "openly7f3a91c2"
"""What may be told: where it is not found, the search proves nothing."""

_PLAIN = logging.getLogger("mine.plain")
_BOUND = structlog.get_logger("mine.bound")


def canary(what: str) -> str:
    """A new secret; `what` says in a failure where it came from."""
    return f"{what}{secrets.token_hex(12)}"


@dataclass(frozen=True)
class Canaries:
    """What the payloads hold: `declared` by the type, `named` by its field, `covered` by neither.

    The last is nobody's business but of those who may read payloads.
    """

    declared: dict[str, str] = field(
        default_factory=lambda: {each: canary(each) for each in ("password", "pin", "again")}
    )
    named: dict[str, str] = field(
        default_factory=lambda: {
            each: canary("named" + each.replace("_", ""))
            for each in ("Password", "token", "api_key", "authorization")
        }
    )
    covered: str = field(default_factory=lambda: canary("covered"))

    @property
    def payload(self) -> dict[str, Any]:
        """What each task of the application takes."""
        return {
            "account": {"login": {"user": OPEN, "password": self.declared["password"]}},
            "pins": [self.declared["pin"], {"deep": [self.declared["again"]]}],
            "options": {"list": [self.named]},
            "text": self.covered,
        }

    @property
    def hidden(self) -> list[str]:
        """What nobody is shown, whoever asks."""
        return [*self.declared.values(), *self.named.values()]

    @property
    def everything(self) -> list[str]:
        """What must not stand in an encrypted store."""
        return [*self.hidden, self.covered]


class Login(msgspec.Struct):
    """What a task signs in with."""

    user: str
    password: Secret[str]


class Account(msgspec.Struct):
    """A login further inside."""

    login: Login


def application(url: str, settings: Settings | None = None) -> Tidemill:
    """An application whose tasks tell all that they know."""
    app = Tidemill(url, settings=settings or Settings())

    @app.task(name="raises", max_attempts=1, queue="mine")
    async def raises(
        ctx: Context, account: Account, pins: Secret[list[Any]], options: dict[str, Any], text: str
    ) -> None:
        await ctx.progress(10, f"{OPEN} as {account.login.password}")
        await ctx.step(f"with {pins}", 1, 2, account.login.password)
        _log(ctx, account, pins)
        raise _raised(account, pins)

    @app.task(name="raises_on_a_thread", max_attempts=1, queue="mine")
    def raises_on_a_thread(
        ctx: Context, account: Account, pins: Secret[list[Any]], options: dict[str, Any], text: str
    ) -> None:
        _log(ctx, account, pins)
        raise _raised(account, pins) from KeyError(account.login.password)

    @app.task(name="raises_in_a_child", max_attempts=1, queue="mine", isolation="process")
    def raises_in_a_child(
        ctx: Context, account: Account, pins: Secret[list[Any]], options: dict[str, Any], text: str
    ) -> None:
        ctx.logger.warning("%s %s", OPEN, pins)
        raise _raised(account, pins)

    @app.task(name="waits", queue="mine")
    async def waits(
        ctx: Context, account: Account, pins: Secret[list[Any]], options: dict[str, Any], text: str
    ) -> None:
        await ctx.step(f"with {pins}", 1, 2, f"{OPEN} as {account.login.password}")
        await asyncio.Event().wait()

    @app.task(name="gives", queue="mine")
    async def gives(
        ctx: Context, account: Account, pins: Secret[list[Any]], options: dict[str, Any], text: str
    ) -> dict[str, Secret[str]]:
        _log(ctx, account, pins)
        return {"made": account.login.password}

    @app.task(name="gives_by_name", queue="mine")
    async def gives_by_name(
        account: Account, pins: Secret[list[Any]], options: dict[str, Any], text: str
    ) -> dict[str, Any]:
        return {"open": OPEN, "token": pins[0], "deep": options, "text": text}

    return app


def _log(ctx: Context, account: Account, pins: list[Any]) -> None:
    for logger in (ctx.logger, _PLAIN):
        logger.warning("%s %s %s", OPEN, account, {"pins": pins})
        logger.error(f"{OPEN} {account.login.password!r}")  # noqa: G004  # as people write it
    _BOUND.info(OPEN, password=account.login.password, pins=pins)


def _raised(account: Account, pins: list[Any]) -> ValueError:
    return ValueError(f"{OPEN}: {account!r} was refused with {pins}")


def found(places: Mapping[str, str | bytes], canaries: Iterable[str]) -> list[tuple[str, str]]:
    """The places where canaries stand, also in hexadecimal or base64, each with its canary."""
    forms = [(each, form) for each in canaries for form in _forms(each)]
    return sorted(
        {
            (place, each)
            for place, text in places.items()
            for each, form in forms
            if form in (text.encode() if isinstance(text, str) else text)
        }
    )


def _forms(each: str) -> list[bytes]:
    raw = each.encode()
    # In base64 a text has three forms, by where it begins; its first and last characters aside.
    packed = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, raw.hex().encode(), *packed]
