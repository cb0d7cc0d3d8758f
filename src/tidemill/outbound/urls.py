"""Which URLs are refused as they are written, before any name is looked up."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from urllib.parse import SplitResult, urlsplit

from tidemill.errors import OutboundRefused
from tidemill.outbound.addresses import Address, Network, refusal

LONGEST = 2_000


def checked_url(url: str, *, allow: Sequence[Network] = (), allow_http: bool = False) -> str:
    """The URL, if a request to it could be sent; else `OutboundRefused` says why not.

    A name is not looked up here: where it leads to is checked when the request is sent, each time.
    """
    parts = _split(url)
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        wanted = "http or https" if allow_http else "https"
        raise OutboundRefused(f"its scheme is {parts.scheme or 'missing'}, not {wanted}")
    if "@" in parts.netloc:
        raise OutboundRefused("it has a user name or a password before its host")
    if not parts.hostname:
        raise OutboundRefused("it names no host")
    if "%" in parts.hostname:
        raise OutboundRefused("its host contains %, as no name has")
    address = literal(parts.hostname)
    why = refusal(address, allow) if address is not None else None
    if why is None and address is None and _is_local(parts.hostname) and not allow:
        why = "it is a name of this machine"
    if why is not None:
        raise OutboundRefused(f"{parts.hostname} is refused: {why}")
    return url


def _split(url: str) -> SplitResult:
    if len(url) > LONGEST:
        raise OutboundRefused(f"it has {len(url):,} characters, more than {LONGEST:,}")
    if any(each.isspace() or not each.isprintable() or each == "\\" for each in url):
        raise OutboundRefused("it contains a blank, a backslash or a character that is not printed")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise OutboundRefused(f"it is no URL: {error}") from error
    return parts


def literal(host: str) -> Address | None:
    """The address that a host is written as, in any form that systems read; None for a name.

    `inet_aton` takes 2130706433, 0x7f.1 and 0177.0.0.1 for 127.0.0.1, and so do look-ups.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, ValueError):
        return None


def _is_local(host: str) -> bool:
    """Whether a name means this machine by its form (RFC 6761)."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
