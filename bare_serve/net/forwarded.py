"""What a trusted proxy says of the request it passes on: X-Forwarded-* and Forwarded (RFC 7239).

`Trust` says which peers are believed; `read` turns a request's fields into one record, `Forwarded`,
that the interfaces apply to environ and scope alike. Lists are walked from the right, where our own
proxy wrote, past every trusted address; what is left of the first untrusted address may be false
and is not looked at. All of it is applied or nothing: a field that cannot be understood is the end
of the request (400), or a client could switch off, by one bad field, what the others say. Where
both kinds of fields are present, X-Forwarded-* are taken and Forwarded is not.

Pure functions over fields: no socket, no environ, no scope. Asked only for trusted peers, and
once for each head that differs from the one before.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from bare_serve.errors import RequestError, UsageError
from bare_serve.net.addresses import IPAddress, IPNetwork, plain, plain_network

Peer = tuple[str, int] | None
"""Address and port; None for one that has none, as on a unix socket, or is hidden."""

FOR, PROTO, HOST, PORT, PREFIX = (
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
)
FORWARDED = b"forwarded"
FIELDS = (FOR, PROTO, HOST, PORT, PREFIX, FORWARDED)

_MOST_HOPS = 64
"""Proxies on the way, beyond which it is no way but an attempt to keep us busy."""
_MOST_PARTS = 1000
"""Parameters in all the elements of Forwarded: as many as so many proxies would write, and more."""
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 7239, 6: an address, in brackets if it is IPv6, with a port that may be obfuscated. Bare
# IPv6 is not of the RFC but what X-Forwarded-For has.
_NODE = re.compile(
    r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(?:([0-9]{1,5})|_[\w.-]+))?"
    r"|([0-9A-Fa-f:.]{2,45})",
    re.ASCII,
)
_NOBODY = re.compile(r"(?:unknown|_[\w.-]+)(?::(?:[0-9]{1,5}|_[\w.-]+))?", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::([0-9]{1,5}))?", re.ASCII)
# A second slash would make a link to another host of a redirect to the prefix.
_PREFIX = re.compile(r"/(?:[!$-.0-;=@-Z_a-z~][!$-;=@-Z_a-z~]*)?", re.ASCII)
# RFC 7239, 4, and colons and brackets without the quotes, which many forget. Possessive, or a
# run of spaces would be tried at each of its lengths.
_PAIR = re.compile(
    r"""[ \t]*+(?:([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w:\[\]-]+)"""
    r"""|"((?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*)"))?[ \t]*([;,]|\Z)""",
    re.ASCII,
)


class Trust(NamedTuple):
    """Which peers are believed, and for which fields."""

    networks: tuple[IPNetwork, ...] = ()
    unix: bool = False
    everybody: bool = False
    fields: frozenset[bytes] = frozenset(FIELDS)

    def peer(self, host: str | None) -> bool:
        """Return whether the other end of a connection is trusted; None is a unix socket."""
        if self.everybody or host is None:
            return self.everybody or self.unix
        try:
            return self.covers(plain(ip_address(host)))
        except ValueError:
            return False

    def covers(self, address: IPAddress) -> bool:
        """Return whether an address is one of the trusted ones."""
        return self.everybody or any(address in network for network in self.networks)


class Forwarded(NamedTuple):
    """What to put in the place of what the connection says; each by itself may be absent."""

    client: Peer
    scheme: str = ""
    server: tuple[str, int] | None = None
    authority: bytes = b""
    """The value of Host, if it is to be another."""
    prefix: str | None = None

    def headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the request's headers with the Host that the client asked for."""
        if not self.authority:
            return headers
        others = [field for field in headers if field[0] != b"host"]
        return [(b"host", self.authority), *others]


def parse_trust(entries: Iterable[str], fields: Iterable[str] = ()) -> Trust | None:
    """Return the Trust that the settings describe; None if no peer is trusted.

    Raises:
        UsageError: an entry is neither an address, a network, `unix` nor `*`.
    """
    entries = [entry.strip() for entry in entries]
    special = {"unix", "*"}
    networks = tuple(_network(entry) for entry in entries if entry not in special)
    chosen = frozenset(name.encode("ascii") for name in fields) or frozenset(FIELDS)
    trust = Trust(networks, "unix" in entries, "*" in entries, chosen)
    return trust if entries else None


def _network(text: str) -> IPNetwork:
    try:
        return plain_network(text)
    except ValueError:
        pass
    try:
        wider = plain_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{text!r} is not an address (10.0.0.1), a network (10.0.0.0/8), unix or *"
        ) from None
    address = text.partition("/")[0]
    raise UsageError(f"{text!r} has bits behind its network; write {wider} or {address}")


def read(headers: list[tuple[bytes, bytes]], trust: Trust, client: Peer) -> Forwarded | None:
    """Return what a trusted peer says of the request with these headers; None for nothing.

    Raises:
        RequestError: 400, a field cannot be understood.
    """
    values = dict(headers)
    if len(values) != len(headers):
        values = _joined(headers)
    found = {name: values[name].decode("latin-1") for name in trust.fields if name in values}
    if not found:
        return None
    host = values.get(b"host", b"").decode("latin-1")
    element = found.pop(FORWARDED, None)
    if not found and element is not None:
        return _from_elements(_elements(element), trust, client, host)
    hops, client = _walk(_entries(found.get(FOR, "")), trust, client)

    def said(name: bytes) -> str:
        entries = _entries(found.get(name, ""))
        return entries[max(len(entries) - 1 - hops, 0)] if entries else ""

    return _judge(client, said(PROTO), said(HOST) or host, said(PORT), said(PREFIX), host)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the values by name, those of several lines joined (RFC 9110, 5.3)."""
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        values[name] = b"%b,%b" % (values[name], value) if name in values else value
    return values


def _entries(text: str) -> list[str]:
    return [entry for part in text.split(",") if (entry := part.strip(" \t"))]


def _walk(entries: Sequence[str], trust: Trust, client: Peer) -> tuple[int, Peer]:
    """Return how many hops to the left the client is, and its address."""
    if not entries:
        return 0, client
    last = len(entries) - 1
    if trust.everybody:
        return last, _node(entries[0])[1]  # no need to ask who the others are
    for hops, entry in enumerate(reversed(entries[-_MOST_HOPS:])):
        address, client = _node(entry)
        if hops == last or address is None or not trust.covers(address):
            return hops, client
    raise _too_many()


def _from_elements(
    elements: Sequence[dict[str, str]], trust: Trust, client: Peer, host: str
) -> Forwarded | None:
    """Return the record of the element whose hop the client itself talked to."""
    chosen: dict[str, str] = {}
    for hops, chosen in enumerate(reversed(elements)):
        if "for" not in chosen:
            break
        if hops == _MOST_HOPS and not trust.everybody:
            raise _too_many()
        if trust.everybody and hops < len(elements) - 1 and "for" in elements[-2 - hops]:
            continue  # it is a hop on the way, named or not
        address, client = _node(chosen["for"])
        if address is None or not trust.covers(address):
            break
    asked = chosen.get("host", "") or host
    return _judge(client, chosen.get("proto", ""), asked, "", "", host) if chosen else None


def _judge(
    client: Peer, proto: str, asked: str, port_text: str, prefix: str, host: str
) -> Forwarded:
    """Make a record of these texts; `asked` is the host for the client, `host` the Host field."""
    scheme = _SCHEMES.get(proto.lower(), "") if proto else ""
    match = _AUTHORITY.fullmatch(asked)
    if proto and not scheme:
        raise _bad("X-Forwarded-Proto or Forwarded: the protocol is neither http nor https")
    if asked is not host and match is None:
        raise _bad("X-Forwarded-Host or Forwarded: the host is malformed")
    if port_text and not (port_text.isascii() and port_text.isdigit() and len(port_text) < 6):
        raise _bad("X-Forwarded-Port: not a port")
    if prefix and _PREFIX.fullmatch(prefix) is None:
        raise _bad("X-Forwarded-Prefix: not a path")
    server, authority = None, ""
    if match is not None and (asked is not host or port_text):
        # Browsers leave the port out where it is the scheme's own; so do we.
        usual = _DEFAULT_PORTS[scheme or "http"]
        port = int(match[2] or port_text or usual)
        if port > 65535:
            raise _bad("X-Forwarded-Port or X-Forwarded-Host: not a port")
        server = (match[1].strip("[]"), port)
        authority = asked if match[2] or port == usual else f"{match[1]}:{port}"
    return Forwarded(
        client=client,
        scheme=scheme,
        server=server,
        authority=authority.encode("latin-1") if authority != host else b"",
        prefix=prefix.rstrip("/") if prefix else None,
    )


def _node(text: str) -> tuple[IPAddress | None, Peer]:
    """Return an address as trust is asked for it, and as applications see it."""
    try:  # in C: nearly all are plain IPv4, and most differ from the one before
        packed = socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return _parsed_node(text)
    if socket.inet_ntop(socket.AF_INET, packed) != text:  # some take leading zeros
        return _parsed_node(text)
    return IPv4Address(packed), (text, 0)


def _parsed_node(text: str) -> tuple[IPAddress | None, Peer]:
    match = _NODE.fullmatch(text)
    try:
        if match is not None:
            port = int(match[3] or 0)
            address = plain(_ip(match))
            if port <= 65535:
                return address, (str(address), port)
        elif _NOBODY.fullmatch(text):
            return None, None
    except ValueError:
        pass
    raise _bad("X-Forwarded-For or Forwarded: not an address")


def _ip(match: re.Match[str]) -> IPAddress:
    if match[1]:
        return IPv6Address(match[1])
    if match[2]:
        return IPv4Address(match[2])
    return ip_address(match[4])


def _elements(text: str) -> list[dict[str, str]]:
    """Return the elements of Forwarded, each with its parameters in lower case."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    for _ in range(_MOST_PARTS):
        match = _PAIR.match(text, position)
        if match is None:
            raise _bad("Forwarded: malformed")
        name = (match[1] or "").lower()
        if name in elements[-1]:
            raise _bad("Forwarded: a parameter is given twice")
        if name:
            quoted = re.sub(r"\\(.)", r"\1", match[3] or "")
            elements[-1][name] = match[2] or quoted
        if not match[4]:
            return [element for element in elements if element]
        if match[4] == ",":
            elements.append({})
        position = match.end()
    raise _bad(f"Forwarded: more than {_MOST_PARTS} parts")


def _too_many() -> RequestError:
    return _bad(f"X-Forwarded-For or Forwarded: more than {_MOST_HOPS} trusted proxies")


def _bad(reason: str) -> RequestError:
    return RequestError(400, f"{reason}.")
