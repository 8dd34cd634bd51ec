"""The two parsers: how they are chosen, llhttp's ways, and the memos that must change nothing."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from bare_serve.errors import RequestError, UsageError
from bare_serve.http import Limits
from bare_serve.http1 import parser_httptools, select_parser
from bare_serve.http1.field_lines import FieldLines, field_lines
from bare_serve.http1.grammar import FIELD_LINE, REQUEST_LINE
from bare_serve.http1.head import parse_field_line
from bare_serve.http1.parser_httptools import HttptoolsHeadParser
from bare_serve.http1.parser_python import PythonHeadParser
from bare_serve.http1.scanner import HeadScanner
from tests.http1.harness import PARSERS, agreed

BLOCK = b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-A:  b \t\r\nEmpty:\r\n\r\n"
TOKENS = (b"GET", b"/a?b", 1, [(b"host", b"x"), (b"x-a", b"b"), (b"empty", b"")])


# ------------------------------------------------------------------------------------ choosing


@pytest.mark.parametrize(
    ("asked", "name", "kind"),
    [
        ("auto", "python", PythonHeadParser),
        ("python", "python", PythonHeadParser),
        ("httptools", "httptools", HttptoolsHeadParser),
    ],
)
def test_a_parser_is_chosen_by_name(asked: str, name: str, kind: type) -> None:
    choice = select_parser(asked)
    assert choice.name == name
    assert isinstance(choice.make(), kind)


def test_an_unknown_parser_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, python or httptools"):
        select_parser("llhttp")


def test_without_httptools_the_python_parser_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is executed a second time, as on a machine that has no httptools."""
    monkeypatch.setitem(sys.modules, "httptools", None)
    monkeypatch.delitem(sys.modules, "bare_serve.http1.parser_httptools")
    spec = importlib.util.find_spec("bare_serve.http1.parser")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.select_parser("auto").name == "python"
    with pytest.raises(UsageError, match="pip install httptools"):
        module.select_parser("httptools")


# --------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("parser", PARSERS)
def test_a_good_head_is_tokenised_without_the_scanner(parser: str) -> None:
    for _ in range(3):
        assert select_parser(parser).make().parse(BLOCK) == TOKENS


def test_the_scanner_gives_the_same_tokens() -> None:
    assert HeadScanner(Limits()).tokens(BLOCK) == TOKENS


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "block",
    [
        b"BAD\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\x00\r\n\r\n",
        b"GET / HTTP/1.1\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\nZ: z\r\n\r\n",
    ],
)
def test_an_unsure_parser_says_nothing(block: bytes, parser: str) -> None:
    made = select_parser(parser).make()
    assert made.parse(block) is None
    assert made.parse(BLOCK) == TOKENS, "and is ready for the next head"


# ------------------------------------------------------------------------------- llhttp's ways


class Raw:
    """llhttp as it comes, recording its callbacks."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0
        self.parser = HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.complete += 1


def served(raw: bytes) -> bytes:
    """The request is served, by both parsers alike; its body."""
    return agreed(raw).only.body


def test_llhttp_refuses_unknown_methods_and_we_do_not() -> None:
    raw = b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n"
    with pytest.raises(HttpParserError):
        Raw().parser.feed_data(raw)
    assert HttptoolsHeadParser().parse(raw) is None
    assert served(raw) == b""


def test_llhttp_leaves_trailing_tabs_and_we_do_not() -> None:
    raw = Raw()
    raw.parser.feed_data(b"GET / HTTP/1.1\r\nA: b\t\r\n\r\n")
    assert raw.headers == [(b"A", b"b\t")]
    assert agreed(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\t\r\n\r\n").only.headers[1] == (b"a", b"b")


def test_llhttp_passes_missing_and_double_hosts_and_we_do_not() -> None:
    for lines in (b"", b"Host: x\r\nHost: y\r\n"):
        raw = b"GET / HTTP/1.1\r\n" + lines + b"\r\n"
        Raw().parser.feed_data(raw)
        assert agreed(raw).status == 400


def test_llhttp_takes_other_versions_and_we_do_not() -> None:
    raw = b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"
    Raw().parser.feed_data(raw)
    assert agreed(raw).status == 505


def test_llhttp_stops_at_an_upgrade_and_we_do_not() -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 3\r\n"
    )
    with pytest.raises(HttpParserUpgrade):
        Raw().parser.feed_data(head + b"\r\nabc")
    assert served(head + b"\r\nabc") == b"abc"


def test_llhttp_is_given_no_body_and_no_trailer() -> None:
    """What it never sees it cannot merge, bound or miscount."""
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n"
    seen = Raw()
    seen.parser.feed_data(raw)
    assert (b"A", b"b") in seen.headers
    assert agreed(raw).only.headers == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


def test_llhttp_ends_its_state_and_a_new_one_is_made() -> None:
    """After a body or an upgrade the same parser object takes the next head."""
    parser = HttptoolsHeadParser()
    for lines in (
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"",
    ):
        block = b"POST / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"
        for raw in (block, block.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n")):
            assert parser.parse(raw) == PythonHeadParser().parse(raw)
            assert parser.parse(BLOCK) == TOKENS


class LaxLlhttp:
    """A future or foreign llhttp that lets a folded line and a control character pass."""

    def __init__(self, protocol: HttptoolsHeadParser) -> None:
        self.protocol = protocol

    def feed_data(self, block: bytes) -> None:
        for line in block.replace(b"\r\n ", b" ").split(b"\r\n")[1:-2]:
            name, _, value = line.partition(b":")
            self.protocol.on_header(name, value.strip())
        self.protocol.on_message_complete()


@pytest.mark.parametrize("line", [b"A: b\r\n c", b"A: b\x01c", b"A : b"])
def test_a_laxer_llhttp_would_let_nothing_through(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parser_httptools, "HttpRequestParser", LaxLlhttp)
    assert HttptoolsHeadParser().parse(BLOCK) == TOKENS
    raw = b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"
    assert HttptoolsHeadParser().parse(raw) is None
    assert agreed(raw).status == 400


def test_llhttp_takes_nothing_behind_a_close_and_nobody_asks_it_to() -> None:
    close = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    seen = Raw()
    seen.parser.feed_data(close)
    with pytest.raises(HttpParserError):
        seen.parser.feed_data(BLOCK)
    assert agreed(close + BLOCK).end == "closed"


# ------------------------------------------------------------------------------------- the memos


@pytest.mark.parametrize("parser", PARSERS)
def test_remembering_equals_parsing_anew(parser: str) -> None:
    made = select_parser(parser).make()
    fresh = []
    for _ in range(3):
        field_lines.clear()
        fresh.append(made.parse(BLOCK))
    remembered = [made.parse(BLOCK) for _ in range(3)]
    assert fresh == remembered == [TOKENS] * 3


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "line",
    [
        b"Cookie: session=secret",
        b"COOKIE:session=secret",
        b"Authorization: Basic c2VjcmV0",
        b"aUTHORIZATION: Bearer secret",
        b"Proxy-Authorization: Basic c2VjcmV0",
        b"X-Auth-Token: secret",
        b"X-API-Key: secret",
        b"X-Amz-Security-Token: secret",
        b"X-CSRFToken: secret",
        b"Sec-WebSocket-Key: secret",
        b"X: " + b"y" * 256,
        b"X" * 64 + b": y",
    ],
)
def test_secrets_and_long_lines_are_not_remembered(line: bytes, parser: str) -> None:
    field_lines.clear()
    block = b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"
    tokens = select_parser(parser).make().parse(block)
    assert tokens is not None
    assert len(tokens[3]) == 2
    assert len(field_lines) == 1, "only Host"


def test_llhttp_keeps_nothing_of_a_head_that_was_taken() -> None:
    """The connection has the head; between requests nobody needs its lines as well."""
    made = HttptoolsHeadParser()
    assert made.parse(BLOCK) == TOKENS
    assert made._lines == []
    assert made.parse(BLOCK) == TOKENS


@pytest.mark.parametrize("parser", PARSERS)
def test_bad_lines_are_not_remembered(parser: str) -> None:
    field_lines.clear()
    assert select_parser(parser).make().parse(b"GET / HTTP/1.1\r\nX : y\r\n\r\n") is None
    assert field_lines == {}


@pytest.mark.parametrize("parser", PARSERS)
def test_a_memo_is_bounded(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_lines, "most", 6)
    field_lines.clear()
    made = select_parser(parser).make()
    for number in range(30):
        value = b"%d" % number
        tokens = made.parse(b"GET / HTTP/1.1\r\nX: " + value + b"\r\n\r\n")
        assert tokens == (b"GET", b"/", 1, [(b"x", value)])
        assert 1 <= len(field_lines) <= 6


def test_the_memo_is_keyed_by_bytes_that_decide_alone() -> None:
    """No two different lines share an entry: the key is all that the result depends on."""
    for first, second in ((b"A:b", b"a:b"), (b"A: b", b"A:b")):
        assert parse_field_line(first) == parse_field_line(second) == (b"a", b"b")
        assert first != second


# ----------------------------------------------------------------------------- grammar patterns


def test_patterns_take_whole_lines_only() -> None:
    for pattern, good in ((REQUEST_LINE, b"GET / HTTP/1.1"), (FIELD_LINE, b"A: b")):
        assert pattern.fullmatch(good)
        for bad in (good + b"\n", good + b"\r", b"\n" + good, good + b"\x00"):
            assert pattern.fullmatch(bad) is None


def test_a_line_that_is_refused_is_refused_again() -> None:
    for read in (parse_field_line, FieldLines().read):
        for _ in range(2):
            with pytest.raises(RequestError):
                read(b"X : y")
