"""What OpenAI's HTTP API and everything compatible with it says: addresses, refusals, answers."""

from dataclasses import dataclass, field
from typing import Final, TypeVar

import httpx
import msgspec

from tidemill import ConfigError, Permanent
from tidemill_apps.services.errors import ServiceError, Unavailable, http_error, unreachable

Answer = TypeVar("Answer")

_CONNECT_SECONDS: Final = 5.0
_LONGEST_REASON: Final = 300
_PERMANENT_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that waiting does not end: an account without money."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model of one provider: `base_url` ends before `/chat/completions` and `/embeddings`.

    `timeout` in seconds is how long the server may be silent. The key is not shown by `repr`.
    """

    provider: str
    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what no request could be made to."""
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"the provider {self.provider} has the base_url {self.base_url!r}: "
                "write it with http:// or https://, such as http://localhost:8000/v1"
            )

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @property
    def timeouts(self) -> httpx.Timeout:
        """To connect, and between two signs of life."""
        return httpx.Timeout(self.timeout, connect=min(_CONNECT_SECONDS, self.timeout))

    def url(self, path: str) -> str:
        """The address of a part of the API, such as `chat/completions`."""
        return f"{self.base_url.rstrip('/')}/{path}"

    def read(self, response: httpx.Response, kind: type[Answer]) -> Answer:
        """What a response says; raises what it means for a task that it says something else."""
        if not response.is_success:
            raise refusal(self, response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"{self.provider} answered {response.status_code} with something else than "
                f"{self.model} would say: {error}",
                "bad_answer",
            ) from error

    def unreachable(self, error: httpx.TransportError) -> Unavailable:
        """The error for a request that got no whole answer."""
        return unreachable(f"the provider {self.provider} at {self.base_url}", error)


class _Told(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | int | None = None


class _Refusal(msgspec.Struct, frozen=True):
    error: _Told | str = ""


def refusal(endpoint: Endpoint, response: httpx.Response) -> ServiceError:
    """The error for an answer that is not a success, with what its body tells."""
    told = _told(response)
    reason = (
        f"{endpoint.provider} answered {response.status_code} for the model {endpoint.model}: "
        f"{told.message[:_LONGEST_REASON] or response.reason_phrase}"
    )
    if told.code in _PERMANENT_CODES:
        return Permanent(reason, code=str(told.code))
    return http_error(response.status_code, reason, response.headers)


def _told(response: httpx.Response) -> _Told:
    try:
        error = msgspec.json.decode(response.content, type=_Refusal).error
    except msgspec.DecodeError:
        return _Told(" ".join(response.text.split()))
    return _Told(error) if isinstance(error, str) else error
