"""Limits and deadlines that nobody has set are those of the settings, and those that docs name."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bare_serve.config.settings import Settings
from bare_serve.errors import ResponseError, UsageError
from bare_serve.http import Limits, Timeouts
from bare_serve.http.limits import LINGER_BYTES, LINGER_SECONDS
from bare_serve.http1 import parser, select_parser
from bare_serve.http1.response import status_line
from bare_serve.server.compose import worker_options
from tests.http1.harness import Fields, agreed, connect, parse_answers


def test_what_is_not_said_is_as_the_settings_have_it() -> None:
    """A component that is used by itself behaves as the command does."""
    options = worker_options(Settings())
    assert options.limits == Limits()
    assert options.timeouts == Timeouts()


def test_the_limits() -> None:
    assert Limits() == (8190, 100, 65_536, 1 << 30, 4096, 256 * 1024)
    assert Limits().request_line >= 8000, "RFC 9112, 3"


def test_what_is_drained_is_what_the_docs_say(root: Path) -> None:
    text = " ".join((root / "docs" / "wsgi.md").read_text(encoding="utf-8").split())
    assert "drained up to 256 KiB" in text
    assert Limits().drain == 256 * 1024


def test_a_close_lingers_within_bounds() -> None:
    assert (LINGER_SECONDS, LINGER_BYTES) == (5.0, 64 * 1024 * 1024)


def test_the_deadlines() -> None:
    assert Timeouts() == (10.0, 30.0, 30.0, 75.0)
    assert [Timeouts(keep_alive=t).persistent for t in (0, 0.001, 75, math.inf)] == [
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(("status", "good"), [(99, 0), (100, 1), (101, 1), (999, 1), (1000, 0)])
def test_a_status_has_three_digits(status: int, good: int) -> None:
    if good:
        assert status_line(status, b"Mine") == b"HTTP/1.1 %d Mine\r\n" % status
    else:
        with pytest.raises(ResponseError, match="100 to 999"):
            status_line(status, b"Mine")


@pytest.mark.parametrize(
    ("host", "good"),
    [
        *((b"x:%d" % port, port < 65_536) for port in (0, 1, 80, 443, 65_535, 65_536, 99_999)),
        (b"x:", True),
        (b"x:655360", False),
        (b"[::1]:65535", True),
        (b"[::1]:65536", False),
    ],
)
def test_the_port_of_a_host(host: bytes, good: bool) -> None:
    story = agreed(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert (story.error is None) is good


@pytest.mark.parametrize(
    ("headers", "upgrades"),
    [
        ([(b"X-Seen", b"only here")], []),
        ([(b"Upgrade", b"h2c"), (b"X-Seen", b"here too")], [(b"upgrade", b"h2c")]),
    ],
)
def test_426_says_to_what_if_the_application_does(headers: Fields, upgrades: Fields) -> None:
    connection = connect()
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.next_event()
    connection.start_response(426, headers)
    wire = connection.send_body(b"x", False)
    assert isinstance(wire, bytes)
    [answer] = parse_answers(wire)
    assert [field for field in answer.headers if field[0] == b"upgrade"] == upgrades
    assert answer.body == b"x"


def test_the_name_of_a_parser_is_what_the_banner_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {asked: select_parser(asked).name for asked in ("auto", "python", "httptools")}
    assert names == {"auto": "python", "python": "python", "httptools": "httptools"}
    monkeypatch.setattr(parser, "HttptoolsHeadParser", None)  # no wheel for this platform
    assert select_parser("auto").name == "python"
    with pytest.raises(UsageError, match="pip install httptools"):
        select_parser("httptools")
    with pytest.raises(UsageError, match="unknown parser 'llhttp'"):
        select_parser("llhttp")
