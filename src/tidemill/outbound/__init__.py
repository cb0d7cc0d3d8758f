"""HTTP requests to addresses that users chose, kept away from what only this machine may reach.

addresses   which network addresses are refused, and why: pure
urls        which URLs are refused before anything is looked up: pure
transport   the client: looks a name up once, checks every answer, connects to what it checked

Whoever can make a server send a request can make it ask its neighbours: the cloud's metadata
service, an administration page on the loopback, a database behind the firewall. So the URL of a
webhook, of an image to fetch, of a feed to read goes through `guarded_client`. It needs httpx,
which `pip install "tidemill[http]"` brings.
"""

from typing import TYPE_CHECKING, Any

from tidemill.outbound.addresses import Network, refusal
from tidemill.outbound.urls import checked_url

if TYPE_CHECKING:
    from tidemill.outbound.transport import Resolve, guarded_client

__all__ = ["Network", "Resolve", "checked_url", "guarded_client", "refusal"]


def __getattr__(name: str) -> Any:
    """Import the client when it is first asked for: only it needs httpx."""
    if name in {"Resolve", "guarded_client"}:
        from tidemill.outbound import transport  # noqa: PLC0415  # not every install has httpx

        return getattr(transport, name)
    raise AttributeError(f"module 'tidemill.outbound' has no attribute {name!r}")
