"""What hostile clients send: a table.

An attack is a block of bytes that each of its connections sends again and again, at a rate at
most, or in turn with the answers. Whoever is cut off connects anew. `SECONDS` bounds all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = 3.0
KIB = 1024
_MASK = b"\0\0\0\0"
_HEAD = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_EMPTY, _ONE = b"\x00\x80" + _MASK, b"\x00\x81" + _MASK + b"x"


@dataclass(frozen=True, slots=True)
class Attack:
    """`block` may be made of what `times` of a unit are; a `kind` says how its clients behave."""

    unit: bytes
    times: int = 1
    kind: Literal["plain", "websocket", "key updates", "slow reader"] = "plain"
    greeting: bytes = b""  # before the first block, on each connection
    rate: float = 0.0  # bytes a second of each connection, at most; 0: as fast as they are taken
    answers: int = 0  # how many are awaited before the next block; 0: none
    connections: int = 1
    deaf: int = 0  # how many of these read nothing of what they are told

    @property
    def block(self) -> bytes:
        return self.unit * self.times


_UPLOAD = b"POST /" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_PIPELINED = 2600

ATTACKS: dict[str, Attack] = {
    "burst": Attack(b"GET /sleep" + _HEAD + b"\r\n", _PIPELINED, answers=_PIPELINED),
    "pings": Attack(b"\x89\x80" + _MASK, 4000, "websocket", rate=500_000),
    "empty fragments": Attack(
        b"\x02\x80" + _MASK + _EMPTY * 4000 + b"\x80\x80" + _MASK, 1, "websocket", rate=500_000
    ),
    "one-byte fragments": Attack(
        b"\x02\x81" + _MASK + b"x" + _ONE * 4000 + b"\x80\x81" + _MASK + b"x",
        1,
        "websocket",
        rate=500_000,
    ),
    "one-byte chunks": Attack(b"1\r\nx\r\n", 8000, greeting=_UPLOAD, rate=2_300_000),
    "two-byte chunks": Attack(b"2\r\nxy\r\n", 8000, greeting=_UPLOAD, rate=2_300_000),
    "key updates": Attack(
        b"x",
        kind="key updates",
        greeting=b"POST /" + _HEAD + b"Content-Length: 1000000\r\n\r\n",
        rate=670_000,
        connections=2,
        deaf=1,
    ),
    "forwarded": Attack(
        b"GET /" + _HEAD + b"X-Forwarded-For: " + b"::," * (65_000 // 3) + b"\r\n\r\n", answers=1
    ),
    "16 slow readers": Attack(
        b"GET /download" + _HEAD + b"\r\n", kind="slow reader", rate=1500, connections=16
    ),
    "200 slow readers": Attack(
        b"GET /download" + _HEAD + b"\r\n", kind="slow reader", rate=1500, connections=200
    ),
}
