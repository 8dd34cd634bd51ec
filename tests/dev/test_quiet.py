"""Requests of the development loop's own stand in no access log."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bare_serve.dev.live import OWN_PATHS
from bare_serve.logs.skipping import skipping


class Request:
    method, version, headers, logged = "GET", "1.1", (), None

    def __init__(self, target: bytes) -> None:
        self.target = target


class Answer:
    status, bytes_sent, answer_lines = 503, 3, ()


@pytest.mark.parametrize(
    ("target", "has_line"),
    [
        (b"/", True),
        (b"/__bare_serve__/version", False),
        (b"/__bare_serve__/live.js?1", False),
        (b"/base/__bare_serve__/version", False),
        (b"/__bare_serve__", True),
        (b"/steal?all=/__bare_serve__/", True),
    ],
)
def test_which_requests_have_a_line(target: bytes, has_line: bool) -> None:
    reader, writer = os.pipe()
    log = skipping((), [OWN_PATHS])(writer)
    request: Any = Request(target)
    log.record("127.0.0.1", request, Answer(), 0.1)
    log.close()
    os.close(writer)
    with open(reader, "rb") as written:
        assert bool(written.read()) is has_line
