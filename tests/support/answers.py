"""Requests and answers as observers are told of them, and one that keeps what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bare_serve.http import RequestHead
from bare_serve.logs.access_format import LoggedRequest, LoggedResponse


class Line(NamedTuple):
    """What an observer is told of one request."""

    client: str
    method: str
    target: bytes
    version: str
    status: int
    bytes_sent: int
    seconds: float
    note: str = ""


class KeptAnswers:
    """An observer that keeps what it is told: as it is at that moment, since connections go on."""

    def __init__(self) -> None:
        self.kept: list[Line] = []

    def __call__(
        self,
        client: str,
        head: LoggedRequest,
        answer: LoggedResponse,
        seconds: float,
        note: str = "",
        /,
    ) -> None:
        status, sent = answer.status, answer.bytes_sent
        self.kept.append(
            Line(client, head.method, head.target, head.version, status, sent, seconds, note)
        )


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
