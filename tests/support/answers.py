"""Requests and answers as the access log is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bare_serve.http import RequestHead
from bare_serve.logs.access_format import LoggedRequest, LoggedResponse
from bare_serve.logs.access_log import AccessLog

Line = tuple[str, str, bytes, str, int, int, float]
"""Client, method, target, version, status, bytes, seconds."""


class KeptLog(AccessLog):
    """Keeps what it is told of: at that moment, since connections go on."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Line] = []

    def record(
        self,
        client: str,
        request: LoggedRequest,
        response: LoggedResponse,
        seconds: float,
        note: str = "",
    ) -> None:
        status, sent = response.status, response.bytes_sent
        line = (client, request.method, request.target, request.version, status, sent, seconds)
        self.kept.append(line)


class Answer(NamedTuple):
    """What was answered."""

    status: int = 200
    bytes_sent: int = 0
    answer_lines: Sequence[bytes] = ()


def request(
    target: bytes = b"/",
    method: str = "GET",
    version: str = "1.1",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> RequestHead:
    """A request as no parser has checked it: the log must not rely on that."""
    return RequestHead(method.encode(), target, version, [*headers])
