"""Who may ask what: each way in, and each thing that is missing or wrong."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Limits, RequestHead
from bare_serve.http1 import ServerConnection
from bare_serve.http1.parser_python import PythonHeadParser
from bare_serve.ops.guard import (
    NUMBERS,
    OPEN,
    ORDER,
    PRIVATE,
    Peer,
    check,
    is_loopback,
    may_see_requests,
)
from bare_serve.ops.rules import Rules

TOKEN = "0123456789abcdef"
BEARER = f"Authorization: Bearer {TOKEN}"
MARK = "X-Bare-Serve: 1"
OWN = "Host: 127.0.0.1:9100"
CONTROL = Rules(control=True, token=TOKEN, hosts=("ops.example.com",), uids=(0, 1000))
LOCAL = Rules(uids=(0, 1000))
EXPOSED = Rules(token=TOKEN, exposed=True, uids=(0, 1000))
TCP, OTHER, USER, STRANGER = Peer("127.0.0.1"), Peer("10.1.2.3"), Peer(uid=1000), Peer(uid=1001)


def head(*lines: str, method: str = "GET", target: str = "/x") -> RequestHead:
    http = ServerConnection(PythonHeadParser(), Limits())
    http.receive_data("\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode())
    event = http.next_event()
    assert isinstance(event, RequestHead)
    return event


def verdict(rules: Rules, peer: Peer, what: int, *lines: str) -> int:
    try:
        check(head(*lines), peer, rules, what)
    except RequestError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.9.9.9:80", 200),
        ("[::1]:9100", 200),
        ("localhost", 200),
        ("LocalHost:9100", 200),
        ("10.1.2.3:9100", 200),
        ("ops.example.com", 200),
        ("OPS.example.com:1", 200),
        ("evil.example", 421),
        ("10.1.2.4", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("2130706433", 421),
        ("[::2]", 421),
    ],
)
def test_only_names_of_the_address_itself_are_hosts(host: str, status: int) -> None:
    assert verdict(CONTROL, OTHER, NUMBERS, f"Host: {host}") == status
    assert verdict(CONTROL, OTHER, ORDER, f"Host: {host}", MARK, BEARER) == status


def test_probes_are_answered_to_everybody() -> None:
    for lines in (["Host: evil.example"], ["Host: a", "Sec-Fetch-Site: cross-site"]):
        assert verdict(EXPOSED, OTHER, OPEN, *lines) == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_gets_nothing(site: str) -> None:
    fetch = f"Sec-Fetch-Site: {site}"
    assert verdict(LOCAL, TCP, NUMBERS, OWN, fetch) == 403
    assert verdict(CONTROL, TCP, ORDER, OWN, fetch, MARK, BEARER) == 403
    assert verdict(LOCAL, TCP, NUMBERS, OWN, "Sec-Fetch-Site: same-origin") == 200


@pytest.mark.parametrize(
    ("rules", "peer", "lines", "status"),
    [
        (CONTROL, TCP, [MARK, BEARER], 200),
        (CONTROL, TCP, [MARK, f"Authorization: bearer {TOKEN}"], 200),
        (CONTROL, TCP, [MARK, BEARER, "Origin: http://127.0.0.1:9100"], 200),
        (CONTROL, TCP, [BEARER], 403),
        (CONTROL, TCP, ["X-Bare-Serve: 2", BEARER], 403),
        (CONTROL, TCP, [MARK], 403),
        (CONTROL, TCP, [MARK, f"{BEARER}x"], 403),
        (CONTROL, TCP, [MARK, "Authorization: Bearer "], 403),
        (CONTROL, TCP, [MARK, f"Authorization: Basic {TOKEN}"], 403),
        (CONTROL, TCP, [MARK, BEARER, "Origin: http://evil.example"], 403),
        (CONTROL, TCP, [MARK, BEARER, "Origin: null"], 403),
        (CONTROL, TCP, [MARK, BEARER, "Origin: http://127.0.0.1:9101"], 403),
        (CONTROL._replace(token=""), TCP, [MARK], 403),
        (CONTROL, USER, [MARK], 200),
        (CONTROL, USER, [], 403),
        (CONTROL, STRANGER, [MARK], 403),
        (CONTROL._replace(token=""), STRANGER, [MARK], 403),
        (CONTROL, STRANGER, [MARK, BEARER], 200),
        (LOCAL, USER, [MARK], 403),
        (LOCAL, TCP, [MARK, BEARER], 403),
    ],
)
def test_an_order_needs_all_of_it(rules: Rules, peer: Peer, lines: list[str], status: int) -> None:
    assert verdict(rules, peer, ORDER, OWN, *lines) == status


@pytest.mark.parametrize(
    ("rules", "peer", "numbers", "private"),
    [
        (LOCAL, TCP, 200, 200),
        (CONTROL, TCP, 200, 403),
        (EXPOSED, OTHER, 403, 403),
        (LOCAL, USER, 200, 200),
        (LOCAL, STRANGER, 200, 200),
    ],
)
def test_what_is_shown_without_a_token(
    rules: Rules, peer: Peer, numbers: int, private: int
) -> None:
    host = "Host: localhost"
    assert verdict(rules, peer, NUMBERS, host) == numbers
    assert verdict(rules, peer, PRIVATE, host) == private
    if rules.token:
        assert verdict(rules, peer, NUMBERS, host, BEARER) == 200
        assert verdict(rules, peer, PRIVATE, host, BEARER) == 200


def test_single_requests_are_shown_to_who_has_shown_something() -> None:
    assert not may_see_requests(head(OWN), TCP, LOCAL)
    assert not may_see_requests(head(OWN, "Authorization: Bearer "), TCP, LOCAL)
    assert not may_see_requests(head(OWN), TCP, CONTROL)
    assert not may_see_requests(head(OWN), STRANGER, LOCAL)
    assert may_see_requests(head(OWN, BEARER), TCP, CONTROL)
    assert may_see_requests(head(OWN), USER, LOCAL)


def test_which_addresses_are_of_this_machine_alone() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.3.2.1", "::1")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example", "1")))
