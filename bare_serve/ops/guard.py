"""Who may ask the ops process what: hosts, origins, tokens, users.

What lives here: the decision, made of a request's head and of what is known of its connection. What
must not: sockets (serving.py), and answers (pages.py). Every refusal says what is missing.

A page of any site may send requests to an address of this machine through the browser of somebody
who works here. Such a request says where it comes from (Fetch Metadata, Sec-Fetch-Site; RFC 6454,
Origin), or it has the site's own name as Host (DNS rebinding), or it cannot have a header that no
plain form sends. All three are looked at.
"""

from __future__ import annotations

import socket

# What hmac.compare_digest is where OpenSSL is not: hmac would bring all of OpenSSL with it, 3 MiB.
from _operator import _compare_digest
from typing import NamedTuple

from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.ops.rules import Rules

OPEN, NUMBERS, PRIVATE, ORDER = range(4)
"""What is asked for: what everybody may know; numbers; what requests say; an order."""

MARK = b"x-bare-serve"
"""The header that an order needs: no form and no simple request of a page can have it."""


class Peer(NamedTuple):
    """What is known of a client by its connection."""

    own: str = ""
    """The address of this machine that the client has reached; empty for a unix socket."""
    uid: int | None = None
    """The client's user, where the connection is a unix socket."""


def check(head: RequestHead, peer: Peer, rules: Rules, what: int) -> None:
    """Let a request pass, or not.

    Raises:
        RequestError: 421 for a foreign Host, 403 for anything else that is missing or wrong.
    """
    if what == OPEN:
        return
    fields = dict(head.headers)
    if fields.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise RequestError(403, "A page of another site has no business here.")
    host = fields.get(b"host", b"")
    if not _is_ours(host, peer, rules):
        raise RequestError(
            421, "This Host is not one of this address; --ops-host names those there are."
        )
    if what == ORDER:
        _check_order(fields, host, rules)
    _check_right(fields, peer, rules, what)


def _check_order(fields: dict[bytes, bytes], host: bytes, rules: Rules) -> None:
    if not rules.control:
        raise RequestError(403, "Orders are not taken here; --ops-control permits them.")
    if fields.get(MARK) != b"1":
        raise RequestError(403, "An order needs the header X-Bare-Serve: 1.")
    # Only browsers send it, with every POST; what is not a browser can say anything anyway.
    origin = fields.get(b"origin")
    if origin is not None and origin.lower() not in (b"http://" + host, b"https://" + host):
        raise RequestError(403, "The Origin is not this address.")


def _check_right(fields: dict[bytes, bytes], peer: Peer, rules: Rules, what: int) -> None:
    """Hold the client to the token, or to its user where the connection tells that."""
    if peer.uid is not None and peer.uid in rules.uids:
        return
    if what == NUMBERS and not rules.exposed:
        return
    if rules.token:
        if _has_token(fields.get(b"authorization", b""), rules.token):
            return
        raise RequestError(403, "The token is missing or wrong: Authorization: Bearer TOKEN.")
    if what == ORDER and peer.uid is not None:
        raise RequestError(403, "This user may not give orders here.")
    if what == ORDER or rules.exposed:
        raise RequestError(403, "This needs a token; --ops-token-file names its file.")


def may_see_requests(head: RequestHead, peer: Peer, rules: Rules) -> bool:
    """Return whether the client may know what single requests are about: their targets."""
    if peer.uid is not None and peer.uid in rules.uids:
        return True
    given = dict(head.headers).get(b"authorization", b"")
    return bool(rules.token) and _has_token(given, rules.token)


def _has_token(field: bytes, token: str) -> bool:
    scheme, _, given = field.partition(b" ")
    return scheme.lower() == b"bearer" and _compare_digest(given.strip(), token.encode())


def _is_ours(host: bytes, peer: Peer, rules: Rules) -> bool:
    """Return whether a Host names this address: a name that others control may lead here, too."""
    name = host.decode("latin-1").lower()
    name = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
    if name == "localhost" or name in rules.hosts:
        return True
    return is_loopback(name.strip("[]")) or (bool(peer.own) and name.strip("[]") == peer.own)


def is_loopback(host: str) -> bool:
    """Return whether this is localhost, or the number of an address that only this machine has."""
    if host.lower() == "localhost":
        return True
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return packed[0] == 127 if family == socket.AF_INET else packed == bytes(15) + b"\1"
    return False
