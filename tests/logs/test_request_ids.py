"""Logs know a request by the id that the client was told."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from bare_serve.logs.access_atoms import template_format
from bare_serve.logs.access_format import json_format
from bare_serve.logs.request_ids import id_told, kept

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01".encode()


def line(form: Any, headers: Any = (), lines: Any = ()) -> str:
    request = SimpleNamespace(
        method="GET", target=b"/", version="1.1", headers=headers, logged=None
    )
    answer = SimpleNamespace(status=200, bytes_sent=0, answer_lines=lines)
    text: str = form.line(form.stamp(0.0), "::1", request, answer, 0.0, "")
    return text


ASKED = [(b"host", b"x"), (b"x-request-id", b"asked")]
TOLD = [b"Content-Type: text/plain\r\n", b"X-Request-Id:  told \r\n"]


def test_a_line_for_people_tells_no_id_that_is_none() -> None:
    asked = SimpleNamespace(method="GET", target=b"/", headers=ASKED)
    assert id_told(asked, None) == " (id asked)"
    assert id_told(asked, SimpleNamespace(answer_lines=TOLD)) == " (id told)"
    assert id_told(SimpleNamespace(method="GET", target=b"/", headers=()), None) == ""
    for wrong in (b"a b", b"a\x1b[2J", b"(x)", b"\xe9", b"a" * 129, b""):
        forged = SimpleNamespace(method="GET", target=b"/", headers=[(b"x-request-id", wrong)])
        assert id_told(forged, None) == "", wrong


def test_the_id_of_the_answer_comes_first() -> None:
    for headers, lines, wanted in (
        (ASKED, TOLD, "told"),
        (ASKED, [], "asked"),
        ([], TOLD, "told"),
        ([], [], None),
    ):
        assert json.loads(line(json_format(), headers, lines))["request_id"] == wanted
        atoms = line(template_format("%(request_id)s"), headers, lines)
        assert atoms == f"{wanted or '-'}\n"


def test_a_trace_is_told_if_it_is_sound() -> None:
    sound = [(b"traceparent", PARENT)]
    assert json.loads(line(json_format(), sound))["trace_id"] == TRACE
    assert line(template_format("%(trace_id)s"), sound) == f"{TRACE}\n"
    for wrong in ([], [(b"traceparent", b"x")], sound * 2):
        assert "trace_id" not in json.loads(line(json_format(), wrong))
        assert line(template_format("%(trace_id)s"), wrong) == "-\n"


def test_a_line_cannot_be_forged_by_an_id() -> None:
    forged = [b'X-Request-ID: a"b\\\x1b\r\n']
    assert json.loads(line(json_format(), [], forged))["request_id"] == 'a"b\\\x1b'
    assert line(template_format("%(request_id)s"), [], forged) == 'a\\"b\\x5c\\x1b\n'


def test_what_is_kept_of_a_websocket() -> None:
    asked = [*ASKED, (b"traceparent", PARENT), (b"cookie", b"a=1")]
    told = [(b"X-Request-ID", b"told"), (b"set-cookie", b"a=1")]
    assert kept(told, asked) == ((b"x-request-id", b"told"), (b"traceparent", PARENT))
    assert kept([], asked)[0] == (b"x-request-id", b"asked")
    assert kept([], []) == ()
