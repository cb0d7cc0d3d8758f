"""Which addresses are refused: the special-purpose registries, entry by entry."""

from ipaddress import ip_address, ip_network

import pytest

from tidemill.outbound import refusal

REFUSED = {
    "0.0.0.0": "this host",
    "0.1.2.3": "this host",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "carrier",
    "100.100.100.200": "carrier",  # Alibaba's metadata
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "Azure",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "link-local",  # the metadata of containers at Amazon
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.8": "protocols",
    "192.0.0.192": "protocols",  # Oracle's metadata
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarks",
    "198.19.255.255": "benchmarks",
    "198.51.100.7": "documentation",
    "203.0.113.7": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "this host",
    "::1": "loopback",
    "::7f00:1": "no longer used",
    "::8.8.8.8": "no longer used",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "metadata",
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::a9fe:a9fe": "metadata",
    "64:ff9b:1::1": "translation",
    "100::1": "discarding",
    "2001::1": "Teredo",
    "2001:0:7f00:1::": "Teredo",
    "2001:2::1": "protocols",
    "2001:20::1": "protocols",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:a9fe:a9fe::1": "6to4",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",  # Amazon's metadata
    "fd20:ce::254": "private",  # Google's metadata
    "fe80::1": "link-local",
    "fe80::a9fe:a9fe": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "2606:4700::1%eth0": "interface",
}
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2400:cb00::1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
)


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_internet_does_not_route_is_refused(text: str) -> None:
    why = refusal(ip_address(text))
    assert why is not None
    assert REFUSED[text] in why


@pytest.mark.parametrize("text", PUBLIC)
def test_what_the_internet_routes_is_allowed(text: str) -> None:
    assert refusal(ip_address(text)) is None


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"])
def test_a_network_that_is_allowed_is_allowed_in_every_form_of_its_addresses(text: str) -> None:
    assert refusal(ip_address(text), [ip_network("10.1.0.0/16")]) is None


def test_allowing_a_network_allows_nothing_beside_it() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/16")]
    assert refusal(ip_address("10.2.0.1"), allowed) is not None
    assert refusal(ip_address("fd01::1"), allowed) is not None
    assert refusal(ip_address("127.0.0.1"), allowed) is not None
    assert refusal(ip_address("fd00::1"), allowed) is None
