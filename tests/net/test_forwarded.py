"""Trusted proxies, by tables: who is trusted, what their fields mean, and what is refused."""

from __future__ import annotations

import itertools
import re
import time
from contextlib import suppress
from typing import Any

import pytest

from bare_serve.errors import RequestError, UsageError
from bare_serve.net.forwarded import Forwarded, Trust, changed_client, parse_trust, read

PROXY = ("10.0.0.1", 4000)


def trust(text: str = "10.0.0.0/8, 2001:db8::/32", *fields: str) -> Trust:
    found = parse_trust(text.split(","), fields)
    assert found is not None
    return found


def fields(text: str) -> list[tuple[bytes, bytes]]:
    """Lines of `name: value`, in which x- is short for x-forwarded-."""
    pairs = []
    for line in text.strip().splitlines():
        name, _, value = line.strip().partition(":")
        name = f"x-forwarded-{name[2:]}" if name.startswith("x-") else name
        pairs.append((name.lower().encode(), value.strip().encode("latin-1")))
    return pairs


TRUSTED = [
    ("10.0.0.1", "10.0.0.1", True),
    ("10.0.0.1", "10.0.0.2", False),
    ("10.0.0.0/8", "10.200.0.2", True),
    ("10.0.0.0/8", "11.0.0.1", False),
    ("10.0.0.0/8", "::ffff:10.0.0.1", True),
    ("10.0.0.0/8", None, False),
    ("::ffff:10.0.0.5", "10.0.0.5", True),
    ("::ffff:10.0.0.5", "::ffff:10.0.0.5", True),
    ("::FFFF:a00:5", "10.0.0.5", True),
    ("::ffff:10.0.0.5", "10.0.0.6", False),
    ("::ffff:10.0.0.0/104", "10.200.0.2", True),
    ("::ffff:10.0.0.0/104", "::ffff:10.200.0.2", True),
    ("::ffff:10.0.0.0/104", "11.0.0.1", False),
    ("::ffff:0:0/96", "203.0.113.9", True),
    ("::ffff:0:0/96", "2001:db8::1", False),
    ("::/0", "2001:db8::1", True),
    ("::/0", "::ffff:10.0.0.5", False),  # an address of IPv4, however it is written
    ("::fffe:10.0.0.0/104", "10.0.0.1", False),
    ("::1", "::1", True),
    ("::1", "127.0.0.1", False),
    ("fe80::/10", "fe80::1%eth0", True),
    ("unix", None, True),
    ("unix", "127.0.0.1", False),
    ("*", None, True),
    ("*", "203.0.113.9", True),
    ("10.0.0.1, unix", "10.0.0.1", True),
    ("10.0.0.1", "no address", False),
]


@pytest.mark.parametrize(("text", "peer", "expected"), TRUSTED)
def test_who_is_trusted(text: str, peer: str | None, expected: bool) -> None:
    assert trust(text).peer(peer) is expected


def test_nobody_is_trusted_by_nothing() -> None:
    assert parse_trust([]) is None


NO_TRUST = [
    ("10.0.0.1/8", "has bits behind its network; write 10.0.0.0/8 or 10.0.0.1"),
    ("localhost", "'localhost' is not an address (10.0.0.1), a network (10.0.0.0/8), unix or *"),
    ("10.0.0.0/33", "is not an address"),
    ("10.0.0", "is not an address"),
    ("2001:db8::1/32", "write 2001:db8::/32 or 2001:db8::1"),
    ("::ffff:10.0.0.1/104", "write 10.0.0.0/8 or ::ffff:10.0.0.1"),
    ("::ffff:10.0.0.1/129", "is not an address"),
    ("", "'' is not an address"),
]


@pytest.mark.parametrize(("text", "message"), NO_TRUST)
def test_what_is_no_trust_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_trust([text])


# Each: the fields of a request from the trusted 10.0.0.1 -> what is applied.
READ: list[tuple[str, dict[str, Any] | None]] = [
    ("host: a", None),
    ("x-for: 1.2.3.4", {"client": ("1.2.3.4", 0)}),
    ("x-for: 1.2.3.4:5678", {"client": ("1.2.3.4", 5678)}),
    ("x-for: [2001:dead::1]:5678", {"client": ("2001:dead::1", 5678)}),
    ("x-for: 2001:DEAD::1", {"client": ("2001:dead::1", 0)}),
    ("x-for: ::ffff:1.2.3.4", {"client": ("1.2.3.4", 0)}),
    # The walk from the right: trusted hops are passed, what is behind the stranger is not read.
    ("x-for: 6.6.6.6, 1.2.3.4", {"client": ("1.2.3.4", 0)}),
    ("x-for: <script>, 1.2.3.4", {"client": ("1.2.3.4", 0)}),
    ("x-for: 6.6.6.6, 1.2.3.4, 10.0.0.9, 2001:db8::7", {"client": ("1.2.3.4", 0)}),
    ("x-for: 10.0.0.7, 1.2.3.4, 10.0.0.9", {"client": ("1.2.3.4", 0)}),
    ("x-for: 10.0.0.7, 10.0.0.8", {"client": ("10.0.0.7", 0)}),
    ("x-for: 6.6.6.6\nx-for: 1.2.3.4\nx-for: 10.0.0.9", {"client": ("1.2.3.4", 0)}),
    ("x-for: , 1.2.3.4 ,, ", {"client": ("1.2.3.4", 0)}),
    ("x-for: unknown", {"client": None}),
    ("x-for: 6.6.6.6, unknown, 10.0.0.9", {"client": None}),
    ("x-for:", {"client": PROXY}),
    # The others, each alone.
    ("x-proto: https", {"client": PROXY, "scheme": "https"}),
    ("x-proto: HTTPS", {"client": PROXY, "scheme": "https"}),
    ("x-proto: wss", {"client": PROXY, "scheme": "https"}),
    ("x-proto: http", {"client": PROXY, "scheme": "http"}),
    ("x-host: shop.example", {"server": ("shop.example", 80), "authority": b"shop.example"}),
    ("x-host: a.b:81", {"server": ("a.b", 81), "authority": b"a.b:81"}),
    ("x-host: [::1]:81", {"server": ("::1", 81), "authority": b"[::1]:81"}),
    ("x-prefix: /shop/", {"prefix": "/shop"}),
    ("x-prefix: /", {"prefix": ""}),
    ("host: a.b\nx-port: 8443", {"server": ("a.b", 8443), "authority": b"a.b:8443"}),
    ("host: a.b\nx-port: 80", {"server": ("a.b", 80), "authority": b""}),
    ("host: a.b:9\nx-port: 80", {"server": ("a.b", 9), "authority": b""}),
    ("x-port: 80", {"server": None}),
    # Together.
    (
        "host: back:8000\nx-host: a.b\nx-proto: https\nx-port: 443",
        {"scheme": "https", "server": ("a.b", 443), "authority": b"a.b"},
    ),
    ("x-host: a.b\nx-proto: https\nx-port: 8443", {"authority": b"a.b:8443"}),
    ("x-host: a.b:1\nx-port: 2", {"server": ("a.b", 1), "authority": b"a.b:1"}),
    # Lists are read at the client's hop: the last one, unless trusted hops were passed.
    ("x-proto: https, http", {"scheme": "http"}),
    ("x-for: 1.2.3.4\nx-proto: https, http", {"scheme": "http"}),
    ("x-for: 1.2.3.4, 10.0.0.9\nx-proto: https, http", {"scheme": "https"}),
    ("x-for: 1.2.3.4, 10.0.0.9\nx-proto: https", {"scheme": "https"}),
    ("x-for: 1.2.3.4\nx-host: evil\nx-host: good", {"authority": b"good"}),
    # RFC 7239.
    ("forwarded: for=1.2.3.4", {"client": ("1.2.3.4", 0)}),
    ('forwarded: For="[2001:dead::1]:9"; proto=https', {"client": ("2001:dead::1", 9)}),
    ('forwarded: for="1.2.3.4:_x";proto=https', {"client": ("1.2.3.4", 0), "scheme": "https"}),
    ("forwarded: for=_hidden, for=10.0.0.9", {"client": None}),
    (
        'forwarded: for=6.6.6.6;host=evil, for=1.2.3.4;host="a.b:81";by=x, for=10.0.0.9;host=in',
        {"client": ("1.2.3.4", 0), "authority": b"a.b:81"},
    ),
    ("forwarded: for=6.6.6.6\nforwarded: for=1.2.3.4", {"client": ("1.2.3.4", 0)}),
    ("forwarded: proto=https", {"client": PROXY, "scheme": "https"}),
    ("forwarded: for=6.6.6.6, proto=https", {"client": PROXY, "scheme": "https"}),
    (r'forwarded: for=1.2.3.4;by="a\"b,c;d"', {"client": ("1.2.3.4", 0)}),
    ("forwarded: for=1.2.3.4:80;;host=a.b:81", {"client": ("1.2.3.4", 80)}),
    ("forwarded: ,", None),
    # Where both are there, a client could have sent the one that the proxy does not know.
    (
        "forwarded: for=6.6.6.6;proto=https\nx-for: 1.2.3.4",
        {"client": ("1.2.3.4", 0), "scheme": ""},
    ),
    ("x-for: 1.2.3.4\nforwarded: ;;;=", {"client": ("1.2.3.4", 0)}),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_what_a_proxy_tells(text: str, expected: dict[str, Any] | None) -> None:
    got = read(fields(text), trust(), PROXY)
    if expected is None:
        assert got is None
        return
    assert got is not None
    assert {name: getattr(got, name) for name in expected} == expected


BAD = [
    "x-for: nonsense",
    "x-for: 6.6.6.6, 1.2.3.4.5",
    "x-for: 1.2.3.4:99999",
    "x-for: 1.2.3.4, 10.0.0.300",
    "x-for: fe80::1%eth0",
    "x-for: 01.2.3.4",
    "x-for: \xb2.2.3.4",
    "x-proto: gopher",
    "x-host: a b",
    "x-host: a/b",
    "x-host: a.b:99999",
    "x-host: user@a.b",
    "host: a.b\nx-port: http",
    "host: a.b\nx-port: \xb2",
    "host: a.b\nx-port: 70000",
    "x-prefix: shop",
    "x-prefix: //evil.example",
    "x-prefix: /\\evil.example",
    "x-prefix: /a?b",
    "x-prefix: /a b",
    "forwarded: for=nonsense",
    "forwarded: for=1.2.3.4;for=1.2.3.5",
    'forwarded: for="1.2.3.4',
    "forwarded: for",
    "forwarded: for=1.2.3.4 proto=http",
    "forwarded: proto=ftp",
    "forwarded: host=a/b",
]


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_understood_ends_the_request(text: str) -> None:
    """Applying the rest, or nothing, would let one bad field of a client undo the others."""
    with pytest.raises(RequestError) as caught:
        read(fields(text), trust(), PROXY)
    assert caught.value.status == 400


# Each: fields, where everybody is trusted -> the client. Only the leftmost can be it.
EVERYBODY: list[tuple[str, tuple[str, int] | None]] = [
    ("x-for: 6.6.6.6, 1.2.3.4", ("6.6.6.6", 0)),
    ("x-for: 6.6.6.6:80, nonsense, unknown", ("6.6.6.6", 80)),
    ("x-for: ::ffff:6.6.6.6, ,1.2.3.4", ("6.6.6.6", 0)),
    ("x-for: unknown, 1.2.3.4", None),
    ("x-for: ,", PROXY),
    ("forwarded: for=6.6.6.6, for=nonsense, for=1.2.3.4", ("6.6.6.6", 0)),
    ("forwarded: proto=http, for=6.6.6.6, for=1.2.3.4", ("6.6.6.6", 0)),
    ("forwarded: for=6.6.6.6, proto=http, for=1.2.3.4", ("1.2.3.4", 0)),
    ("forwarded: for=6.6.6.6, proto=http", PROXY),
]


@pytest.mark.parametrize(("text", "client"), EVERYBODY)
def test_a_client_may_be_anybody_behind_a_star(text: str, client: tuple[str, int] | None) -> None:
    got = read(fields(text), trust("*"), PROXY)
    assert got is not None
    assert got.client == client


def test_the_other_fields_of_the_leftmost_hop_count_behind_a_star() -> None:
    got = read(fields("x-for: 6.6.6.6, 1.2.3.4\nx-proto: https, http"), trust("*"), PROXY)
    assert got is not None
    assert got.scheme == "https"
    got = read(
        fields("forwarded: for=6.6.6.6;proto=https, for=1.2.3.4;proto=http"), trust("*"), PROXY
    )
    assert got is not None
    assert got.scheme == "https"


@pytest.mark.parametrize(("name", "each"), [("x-for", "10.0.0.2"), ("forwarded", "for=10.0.0.2")])
def test_a_way_is_64_proxies_long_at_most(name: str, each: str) -> None:
    client = each.replace("10.0.0.2", "6.6.6.6")
    got = read(fields(f"{name}: {','.join([client, *[each] * 63])}"), trust(), PROXY)
    assert got is not None
    assert got.client == ("6.6.6.6", 0)
    got = read(fields(f"{name}: {','.join([each] * 64)}"), trust(), PROXY)
    assert got is not None
    assert got.client == ("10.0.0.2", 0)
    with pytest.raises(RequestError, match="more than 64 trusted proxies") as caught:
        read(fields(f"{name}: {','.join([client, *[each] * 64])}"), trust(), PROXY)
    assert caught.value.status == 400
    # What is left of the first stranger is not looked at, however much there is.
    got = read(fields(f"{name}: {','.join([*[each] * 500, client, each])}"), trust(), PROXY)
    assert got is not None
    assert got.client == ("6.6.6.6", 0)


LONG = [
    ("x-forwarded-for", "::,"),
    ("x-forwarded-for", ","),
    ("x-forwarded-for", "10.0.0.1,"),
    ("x-forwarded-proto", "http,"),
    ("forwarded", "for=::,"),
    ("forwarded", "for=10.0.0.1,"),
    ("forwarded", "a=b,"),
    ("forwarded", ";"),
    ("forwarded", r'a="\\",'),
]


@pytest.mark.parametrize("trusted", ["*", "10.0.0.0/8", "::/0"])
@pytest.mark.parametrize(("name", "piece"), LONG)
def test_a_list_of_64_kib_costs_little(name: str, piece: str, trusted: str) -> None:
    """At 20 ms of processor time a client would need three such requests a second to be felt."""
    value = (piece * (65536 // len(piece))).encode()
    chosen = trust(trusted)
    costs = []
    for _ in range(3):
        begun = time.thread_time()
        with suppress(RequestError):
            read([(name.encode(), value)], chosen, PROXY)
        costs.append(time.thread_time() - begun)
    assert min(costs) < 0.02


def test_fields_that_were_not_chosen_are_not_read() -> None:
    chosen = trust("*", "x-forwarded-for")
    got = read(fields("x-for: 1.2.3.4\nx-host: evil\nforwarded: ="), chosen, PROXY)
    assert got == Forwarded(client=("1.2.3.4", 0))
    assert read(fields("x-proto: https"), chosen, PROXY) is None


def test_the_host_takes_the_place_of_the_one_that_was_sent() -> None:
    headers = fields("a: 1\nhost: back\nb: 2")
    assert Forwarded(PROXY).headers(headers) is headers
    changed = Forwarded(PROXY, authority=b"a.b").headers(headers)
    assert changed == [(b"host", b"a.b"), (b"a", b"1"), (b"b", b"2")]
    assert headers == fields("a: 1\nhost: back\nb: 2"), "the head is shared and never changed"


@pytest.mark.parametrize(
    "evil", ['for="' + "\\a" * 30000, "for=" + "a" * 60000 + "\x01", " " * 60000 + "="]
)
def test_a_long_field_takes_no_longer_than_its_length(evil: str) -> None:
    with pytest.raises(RequestError):
        read([(b"forwarded", evil.encode())], trust(), PROXY)


FORS = [
    *("203.0.113.7", "203.0.113.8", "10.0.0.1", "10.0.0.1, 203.0.113.7", "203.0.113.7, 10.0.0.1"),
    *("", ",", "unknown", "[2001:db8::1]:5", "::1", "010.0.0.1", "x", "1.2.3.4:5"),
]
OTHERS = [
    "",
    "X-Forwarded-Proto: http, https",
    "Forwarded: for=192.0.2.1",
    "X-Forwarded-Host: a, b",
]


def told(headers: list[tuple[bytes, bytes]], trusted: Trust) -> Forwarded | str | None:
    try:
        return read(headers, trusted, ("127.0.0.1", 1))
    except RequestError as error:
        return error.reason


@pytest.mark.parametrize("trusted", [trust(), trust("*"), trust("*", "x-forwarded-proto")])
def test_where_the_client_alone_is_another_one_all_else_stays(trusted: Trust) -> None:
    quick = 0
    for before, after, other in itertools.product(FORS, FORS, OTHERS):
        last, now = (
            fields(f"Host: x\nX-Forwarded-For: {text}\nCookie: {text}\n{other}".strip())
            for text in (before, after)
        )
        first = told(last, trusted)
        if isinstance(first, str):
            continue  # that request was refused: there is none behind it
        changed = [field for field in now if field not in last]
        found: Any
        try:
            found = changed_client(changed, last, trusted)
        except RequestError as error:
            found = error.reason
        if isinstance(found, str):
            assert told(now, trusted) == found
        elif found == ():
            assert told(now, trusted) == first
        elif found is not None:
            quick += 1
            assert first is not None
            assert told(now, trusted) == first._replace(client=found[0])
    assert bool(quick) == ("x-forwarded-for" in str(trusted.fields))
