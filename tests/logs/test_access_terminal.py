"""Access lines on a terminal: short, as wide as the window, and coloured where they are slow."""

from __future__ import annotations

import re

import pytest

from bare_serve.logs.access_format import Format
from bare_serve.logs.access_terminal import duration, is_this_machine, shortened, terminal_format
from tests.support.answers import Answer, request

NOON = 1_700_000_000.0
LONG = b"/reports/" + b"x" * 200 + b"?format=pdf"


def line(
    made: Format,
    target: bytes = b"/a?b=c",
    *,
    client: str = "127.0.0.1",
    seconds: float = 0.00042,
    note: str = "",
    status: int = 200,
) -> str:
    stamp = made.stamp(NOON)
    return str(made.line(stamp, client, request(target), Answer(status, 13), seconds, note))


def test_no_date_and_no_client_that_is_this_machine() -> None:
    made = terminal_format(lambda: 0)
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /a\?b=c HTTP/1\.1 200 13 0\.42ms\n", line(made))
    far = line(made, client="10.0.0.7")
    assert re.fullmatch(r"\S{8} 10\.0\.0\.7 GET /a\?b=c HTTP/1\.1 200 13 0\.42ms\n", far)
    assert line(made, note="in 1/2 out 3/4").endswith(" 0.42ms in 1/2 out 3/4\n")


@pytest.mark.parametrize(
    ("client", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("::2", False),
        ("12.7.0.1", False),
    ],
)
def test_which_clients_are_this_machine(client: str, local: bool) -> None:
    assert is_this_machine(client) is local


@pytest.mark.parametrize("width", [80, 100, 150])
@pytest.mark.parametrize("client", ["", "2001:db8::17"])
def test_a_long_target_loses_its_middle_and_the_line_fits(width: int, client: str) -> None:
    found = line(terminal_format(lambda: width), LONG, client=client, note="in 1/2")
    assert len(found) == width + 1
    assert re.search(r" GET /rep\S*\.\.\.\S*=pdf HTTP/1\.1 200 13 0\.42ms in 1/2\n", found)


def test_a_window_may_be_narrow_or_change() -> None:
    widths = [90, 10, 0]
    made = terminal_format(lambda: widths.pop(0), gap="~")
    assert len(line(made, LONG)) == 91
    assert " /reports~mat=pdf " in line(made, LONG).replace("GET", ""), "16 columns at the least"
    assert LONG.decode() in line(made, LONG)


def test_shortened_keeps_both_ends() -> None:
    assert shortened("abcdefghij", 10, "...") == "abcdefghij"
    assert shortened("abcdefghijk", 10, "...") == "abcd...ijk"
    assert shortened("abcdefghijk", 1, "...") == "a...k"


DURATIONS = [
    (0.0, "0.00ms"),
    (0.00042, "0.42ms"),
    (0.00999, "9.99ms"),
    (0.009999, "10.0ms"),
    (0.0123, "12.3ms"),
    (0.23, "230ms"),
    (0.9994, "999ms"),
    (0.9996, "1.0s"),
    (1.24, "1.2s"),
    (59.94, "59.9s"),
    (59.96, "1m00s"),
    (125.2, "2m05s"),
    (3599.6, "1h00m"),
    (3720.0, "1h02m"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "note", "code"),
    [(0.4, "", ""), (0.5, "", "33"), (4.9, "", "33"), (5.0, "", "31"), (60.0, "in 1/2", "")],
)
def test_what_is_slow_is_coloured(seconds: float, note: str, code: str) -> None:
    coloured = line(terminal_format(lambda: 80, colour=True), seconds=seconds, note=note)
    plain = line(terminal_format(lambda: 80), seconds=seconds, note=note)
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain
    took = duration(seconds)
    assert (f"\x1b[{code}m{took}\x1b[0m" in coloured) is bool(code)
    assert "\x1b[32m200\x1b[0m" in coloured


def test_what_a_client_sent_is_escaped_and_redacted() -> None:
    made = terminal_format(lambda: 80, redact=("token",))
    found = line(made, b"/\x1b[2J\r\n?token=secret", client="a b\x07")
    assert r" a\x20b\x07 GET /\x1b[2J\x0d\x0a?token=[redacted] " in found
    assert "secret" not in found
