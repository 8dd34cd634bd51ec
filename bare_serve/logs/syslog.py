"""A syslog as the output of a log: its address, and a datagram for each line.

What lives here: `syslog:` as settings write it, and the sink. What must not: keeping lines that are
not taken (logs/sinks.py), what a line says.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from bare_serve.errors import UsageError
from bare_serve.http.date import MONTHS
from bare_serve.logs.sinks import SYSLOG
from bare_serve.logs.zone import local_time

_LOCAL = "/dev/log"
_PORT = 514
_INFORMATIONAL = 6
_FACILITIES = {
    name: number
    for number, name in enumerate(
        (
            *("kern", "user", "mail", "daemon", "auth", "syslog"),
            *("lpr", "news", "uucp", "cron", "authpriv", "ftp"),
        )
    )
} | {f"local{number}": 16 + number for number in range(8)}
# What receivers are ready for by default (rsyslog: 8 KiB); RFC 5424 6.1 asks for 2048 at least.
_LONGEST = 8000


class SyslogAddress(NamedTuple):
    """`syslog:`, `syslog:PATH` or `syslog://HOST:PORT`, and `?facility=local0&tag=shop`."""

    path: str = ""
    host: str = ""
    port: int = _PORT
    facility: int = 1
    tag: str = "bare-serve"


def parse_syslog(text: str) -> SyslogAddress:
    """Read the address of a syslog.

    Raises:
        UsageError: it is not one.
    """
    place, _, query = text.removeprefix(SYSLOG).partition("?")
    more = dict(parse_qsl(query, keep_blank_values=True))
    facility, tag = more.pop("facility", "user"), more.pop("tag", "bare-serve")
    if more:
        raise UsageError(f"{text!r} may say facility and tag, not {next(iter(more))}")
    if facility not in _FACILITIES:
        raise UsageError(f"{facility!r} is no syslog facility; use one of {', '.join(_FACILITIES)}")
    if not 0 < len(tag) <= 32 or not tag.isascii() or not tag.replace("-", "").isalnum():
        raise UsageError(f"{tag!r} is no syslog tag; use up to 32 letters, digits and hyphens")
    number = _FACILITIES[facility]
    if not place.startswith("//"):
        return SyslogAddress(path=place or _LOCAL, facility=number, tag=tag)
    host, colon, port = place[2:].rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place[2:], str(_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is no address of a syslog; write syslog://HOST:PORT")
    return SyslogAddress(host=host.strip("[]"), port=int(port), facility=number, tag=tag)


class SyslogSink:
    """A datagram for each line.

    Over UDP by RFC 5424 (and 5426), to a local socket as syslog(3) writes. That local form (RFC
    3164, with neither host nor fraction of a second) is the one that journald
    understands as well. A daemon that was started anew is found again.

    Raises:
        UsageError: the host of a remote one cannot be found.
    """

    path = ""

    def __init__(self, address: SyslogAddress) -> None:
        # A relative path is one from here: the application may go elsewhere.
        self._address = address._replace(path=address.path and str(Path(address.path).absolute()))
        self._priority = address.facility * 8 + _INFORMATIONAL
        self._socket: socket.socket | None = None
        self._remote: tuple[int, Any] | None = None
        if address.host:
            try:
                found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:  # UnicodeError: a label above 63 letters
                where = f"{address.host}:{address.port}"
                reason = error.strerror if isinstance(error, OSError) else "this is no host's name"
                raise UsageError(f"cannot find the syslog {where}: {reason}") from None
            self._remote = (found[0][0], found[0][4])
        self._host = socket.gethostname() or "-"

    def send(self, data: bytes) -> int:
        """Send line after line; return how many bytes of them were sent."""
        sock = self._socket or self._connect()
        head, taken = self._head(time.time()), 0
        try:
            for line in data.splitlines(keepends=True):
                # No empty message: some receivers end at it.
                sock.send(head + line[:_LONGEST].rstrip(b"\n"), socket.MSG_DONTWAIT)
                taken += len(line)
        except BlockingIOError:
            if not taken:
                raise
        except OSError:
            self.close()  # it may be another socket of that name the next time
            if not taken:
                raise
        return taken

    def reopen(self) -> None:
        """Do nothing: a socket is not moved away as a file is."""

    def give_to(self, uid: int, gid: int) -> None:
        """Do nothing: every user may write to a syslog."""

    def close(self) -> None:
        """Let go of the socket; the next line makes another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        family, where = self._remote or (socket.AF_UNIX, self._address.path)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.connect(where)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        return sock

    def _head(self, now: float) -> bytes:
        tag, pid = self._address.tag, os.getpid()
        if self._remote is None:
            t, _ = local_time(now)
            day = f"{MONTHS[t.tm_mon - 1]} {t.tm_mday:2d}"
            clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
            return f"<{self._priority}>{day} {clock} {tag}[{pid}]: ".encode()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        fraction = f"{now % 1:.6f}"[1:]
        head = f"<{self._priority}>1 {stamp}{fraction}Z {self._host} {tag} {pid} access - "
        return head.encode("ascii", "replace")
