"""RFC 6455, 4.2 and 11.3: what a client asks for, and what it is answered."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError, ResponseError
from bare_serve.websocket.handshake import Handshake

Field = tuple[bytes, bytes]

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"sec-websocket-version", b"13")


def asked(*fields: Field) -> Handshake:
    return Handshake([(b"host", b"x"), KEY, VERSION, *fields])


def refused(fields: list[Field]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        Handshake(fields)
    return caught.value


def test_4_2_2_the_accept_key_of_the_example() -> None:
    assert asked().answer(None, b"", []) == [
        (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    ]


@pytest.mark.parametrize(
    "versions", [[], [b"12"], [b"13, 8"], [b"13", b"13"], [b"013"], [b"+13"], [b""], [b"\xb9\xb3"]]
)
def test_4_4_only_version_13(versions: list[bytes]) -> None:
    error = refused([KEY, *((b"sec-websocket-version", version) for version in versions)])
    assert error.status == 426
    assert b"Sec-WebSocket-Version: 13\r\n" in error.headers
    assert b"Upgrade: websocket\r\n" in error.headers


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [b""],
        [b"short"],
        [b"dGhlIHNhbXBsZSBub25jZQ"],
        [b"dGhlIHNhbXBsZSBub25jZQ==="],
        [b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZQ=="],
        [b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="],
        [b"dGhlIHNhbXBs ZSBub25jZQ=="],
        [b"dGhlIHNhbXBsZSBub25jZ\xc3=="],
        [b"dGhlIHNhbXBsZS1ub25jZXh4"],
    ],
)
def test_4_2_1_the_key_is_16_bytes_in_base64(keys: list[bytes]) -> None:
    assert refused([VERSION, *((b"sec-websocket-key", key) for key in keys)]).status == 400


def test_4_4_the_version_that_is_spoken_is_told() -> None:
    error = refused([KEY, (b"sec-websocket-version", b"12")])
    assert error.headers.split(b"\r\n") == [
        b"Sec-WebSocket-Version: 13",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"",
    ]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], []),
        ([b"chat"], ["chat"]),
        ([b"chat, superchat"], ["chat", "superchat"]),
        ([b"chat ,\tsuperchat", b"v1.json"], ["chat", "superchat", "v1.json"]),
        ([b",chat,,"], ["chat"]),
        ([b"XchatX,\t Xchat \t"], ["XchatX", "Xchat"]),
    ],
)
def test_11_3_4_subprotocols(lines: list[bytes], names: list[str]) -> None:
    handshake = asked(*((b"sec-websocket-protocol", line) for line in lines))
    assert handshake.subprotocols == names


@pytest.mark.parametrize("line", [b"a b", b"\xff\xfe", b"a;b", b'"chat"', b"a, b/c"])
def test_11_3_4_subprotocols_are_tokens(line: bytes) -> None:
    assert refused([KEY, VERSION, (b"sec-websocket-protocol", line)]).status == 400


def test_many_subprotocols_take_no_time() -> None:
    # Linear: a list of 30,000 names, and one name of 60,000 characters.
    assert len(asked((b"sec-websocket-protocol", b"a," * 30_000)).subprotocols) == 30_000
    assert asked((b"sec-websocket-protocol", b"a" * 60_000)).subprotocols == ["a" * 60_000]


def test_4_2_2_the_answer_names_what_was_agreed_on() -> None:
    handshake = asked((b"sec-websocket-protocol", b"v1, v2"))
    fields = handshake.answer("v2", b"permessage-deflate", [(b"set-cookie", b"a=1")])
    assert fields[1:] == [
        (b"Sec-WebSocket-Protocol", b"v2"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
        (b"set-cookie", b"a=1"),
    ]


@pytest.mark.parametrize("chosen", ["v3", "V1", "", "v1, v2", 7])
def test_a_subprotocol_that_was_not_offered(chosen: str) -> None:
    with pytest.raises(ResponseError, match="offered: v1, v2"):
        asked((b"sec-websocket-protocol", b"v1,v2")).answer(chosen, b"", [])


def test_a_subprotocol_where_none_was_offered() -> None:
    with pytest.raises(ResponseError, match=r"'chat'; offered: none\n"):
        asked().answer("chat", b"", [])


@pytest.mark.parametrize(
    "name", [b"sec-websocket-accept", b"Sec-WebSocket-Protocol", b"SEC-WEBSOCKET-EXTENSIONS"]
)
def test_headers_that_are_the_handshakes(name: bytes) -> None:
    with pytest.raises(ResponseError, match="handshake"):
        asked().answer(None, b"", [(name, b"x")])


# RFC 7692, 7.1. None: declined, so that the answer names no extension.
OFFERS = {
    b"permessage-deflate": b"permessage-deflate; server_max_window_bits=12",
    b"Permessage-Deflate": b"permessage-deflate; server_max_window_bits=12",
    b"permessage-deflate; client_max_window_bits": (
        b"permessage-deflate; client_max_window_bits=12; server_max_window_bits=12"
    ),
    b"permessage-deflate; client_max_window_bits=9": (
        b"permessage-deflate; client_max_window_bits=9; server_max_window_bits=12"
    ),
    b'permessage-deflate;server_max_window_bits="10"': (
        b"permessage-deflate; server_max_window_bits=10"
    ),
    b"permessage-deflate; server_max_window_bits=15": (
        b"permessage-deflate; server_max_window_bits=12"
    ),
    b"permessage-deflate; server_no_context_takeover ; client_no_context_takeover": (
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        b"server_max_window_bits=12"
    ),
    b"x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, permessage-deflate": (
        b"permessage-deflate; server_max_window_bits=12"
    ),
    b'foo; bar=1; baz="quux", , permessage-deflate': (
        b"permessage-deflate; server_max_window_bits=12"
    ),
    b"": None,
    b" , ,": None,
    b"x-webkit-deflate-frame": None,
    b"permessage-deflate; server_max_window_bits=8": None,
    b"permessage-deflate; server_max_window_bits": None,
    b"permessage-deflate; server_max_window_bits=16": None,
    b"permessage-deflate; server_max_window_bits=07": None,
    b"permessage-deflate; server_max_window_bits=+9": None,
    b"permessage-deflate; client_max_window_bits=7": None,
    b"permessage-deflate; client_max_window_bits=1O": None,
    b"permessage-deflate; server_no_context_takeover=1": None,
    b"permessage-deflate; client_no_context_takeover; client_no_context_takeover": None,
    b"permessage-deflate; server_max_window_bits=9; server_max_window_bits=10": None,
    b"permessage-deflate; unknown": None,
}


@pytest.mark.parametrize("offer", OFFERS)
def test_7692_7_1_offers_and_answers(offer: bytes) -> None:
    agreed = asked((b"sec-websocket-extensions", offer)).deflate()
    assert (agreed and agreed[1]) == OFFERS[offer]


def test_7692_5_offers_over_several_lines() -> None:
    lines = (b"permessage-deflate; server_max_window_bits=8", b"permessage-deflate")
    agreed = asked(*((b"sec-websocket-extensions", line) for line in lines)).deflate()
    assert agreed is not None
    assert asked().deflate() is None


@pytest.mark.parametrize(
    "value",
    [
        b"permessage-deflate;",
        b"permessage-deflate; ;a",
        b"permessage-deflate=1",
        b"; a",
        b"per message",
        b'permessage-deflate; a="',
        b'permessage-deflate; a="b c"',
        b"permessage-deflate; a=",
        b"permessage-deflate; =1",
        b"\xff",
        b"a" * 60_000 + b" b",
        b"a;" * 30_000,
    ],
)
def test_9_1_a_malformed_extension_header(value: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        asked((b"sec-websocket-extensions", value)).deflate()
    assert caught.value.status == 400
