"""One host, one name: an IPv4 address that a socket for both families shows as ::ffff:a.b.c.d.

A listener of IPv6 that takes IPv4 too ([::]) names IPv4 clients so (RFC 4291, 2.5.5.2), and so do
proxies that listen there. Applications, trust and logs mean the IPv4
address. Pure functions.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_WILDCARDS = ("0.0.0.0", "::")
_MAPPED = "::ffff:"
_MAPPED_BITS = 96


def plain(address: IPAddress) -> IPAddress:
    """Return the address, or the IPv4 address in it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def plain_host(host: str) -> str:
    """Return the text of an address, or of the IPv4 address in it, as the system writes it."""
    # The hexadecimal form has no dot; the system never writes it.
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


def plain_end(name: tuple[Any, ...]) -> tuple[str, int]:
    """Return host and port of an end of a TCP connection: two of the four parts of IPv6."""
    return plain_host(name[0]), name[1]


def own_end(name: Any) -> tuple[str, int] | None:
    """Return host and port of our end of all connections of a listener that is named so.

    None where our end differs between them, as for 0.0.0.0.
    """
    return None if name[0] in _WILDCARDS else plain_end(name)


def plain_network(text: str, *, strict: bool = True) -> IPNetwork:
    """Return the network, or the IPv4 network in it, as ::ffff:10.0.0.0/104 has one.

    Raises:
        ValueError: it is none, or, if `strict`, it has bits behind its prefix.
    """
    network = ip_network(text, strict=strict)
    if not isinstance(network, IPv6Network) or network.prefixlen < _MAPPED_BITS:
        return network
    mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
