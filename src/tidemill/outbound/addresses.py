"""Which network addresses a request must not go to.

The tables are those of the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and
its successors), written out: what Python's `is_global` says of some of them changed between
releases. Of IPv6 only 2000::/3 is unicast that the internet routes.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "it means this host"),
        ("10.0.0.0/8", "it is private"),
        ("100.64.0.0/10", "it is shared behind a carrier's NAT"),
        ("127.0.0.0/8", "it is the loopback"),
        ("169.254.0.0/16", "it is link-local, where clouds serve their metadata"),
        ("172.16.0.0/12", "it is private"),
        ("192.0.0.0/24", "it is kept for protocols"),
        ("192.0.2.0/24", "it is for documentation"),
        ("192.88.99.0/24", "it was for 6to4 relays"),
        ("192.168.0.0/16", "it is private"),
        ("198.18.0.0/15", "it is for benchmarks"),
        ("198.51.100.0/24", "it is for documentation"),
        ("203.0.113.0/24", "it is for documentation"),
        ("168.63.129.16/32", "Azure serves its metadata there"),
        ("224.0.0.0/4", "it is multicast"),
        ("240.0.0.0/4", "it is reserved"),
    )
)

_UNICAST_6: Final = IPv6Network("2000::/3")
_REFUSED_6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::1/128", "it is the loopback"),
        ("::/128", "it means this host"),
        ("::/96", "it is an IPv4 address in a form that is no longer used"),
        ("64:ff9b:1::/48", "it is a network's own translation to IPv4"),
        ("100::/64", "it is for discarding"),
        ("2001::/32", "it is a Teredo tunnel to an IPv4 address"),
        ("2001::/23", "it is kept for protocols"),
        ("2001:db8::/32", "it is for documentation"),
        ("2002::/16", "it is a 6to4 tunnel to an IPv4 address"),
        ("3fff::/20", "it is for documentation"),
        ("fc00::/7", "it is private"),
        ("fe80::/10", "it is link-local"),
        ("fec0::/10", "it was site-local"),
        ("ff00::/8", "it is multicast"),
    )
)

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): how a host without IPv4 reaches the IPv4 address in the last 32 bits."""


def refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Why nothing is sent to an address, as the end of a sentence about it; None: it may be.

    Networks in `allowed` are not refused. An address that stands for an IPv4 one (mapped, or
    translated by NAT64) is judged as that one.
    """
    inner = address if isinstance(address, IPv4Address) else _translated(address)
    judged = address if inner is None else inner
    if any(judged in network for network in allowed if network.version == judged.version):
        return None
    if isinstance(judged, IPv4Address):
        return next((why for network, why in _REFUSED_4 if judged in network), None)
    if judged.scope_id is not None:
        return "it names an interface of this machine"
    known = next((why for network, why in _REFUSED_6 if judged in network), None)
    return known or (None if judged in _UNICAST_6 else "it is reserved")


def _translated(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
