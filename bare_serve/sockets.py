"""Listening sockets: from what the user wrote to a socket that listens.

`parse_address` only reads text, `bind` asks the system, `release` cleans up after it; every
refusal names the address and says what to do. Accepted connections are the workers' matter.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Literal

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen; only the fields of its kind mean something."""

    kind: Literal["tcp", "unix", "fd"]
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1


def parse_address(text: str) -> Address:
    """Read HOST:PORT, :PORT, [v6]:PORT, unix:PATH or fd://N."""
    raise NotImplementedError


def bind(address: Address, backlog: int = BACKLOG) -> socket.socket:
    """A non-blocking socket that listens on `address`."""
    raise NotImplementedError


def release(address: Address, sock: socket.socket) -> None:
    """Close a socket made by `bind` and remove its file; for the master only."""
    raise NotImplementedError


def url_of(sock: socket.socket) -> str:
    """Where to reach the socket: http://127.0.0.1:8000 or unix:/run/app.sock."""
    raise NotImplementedError
