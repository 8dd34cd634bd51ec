"""Notifications for systemd, by datagrams (sd_notify(3)); none where NOTIFY_SOCKET is not set.

READY once every worker is ready, RELOADING and READY again around a reload, STOPPING, a STATUS
line for `systemctl status`, and WATCHDOG as often as systemd asks for it: the master's loop
sends it, so it stops when the loop does. Where the loop has to stop, for an import or for another
program, it asks systemd to wait for so long. Nothing here fails: a server does not stop
serving because systemd does not hear that it serves.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

_DAY = 86400.0


class Notifier:
    """A line to the service manager."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        address = environ.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte with which abstract names begin.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        usual = self._usual_microseconds() if address else 0
        self._usual = usual
        self._every = usual / 2e6  # half of it, as sd_watchdog_enabled(3) advises
        self.due: float | None = time.monotonic() if self._every else None
        """When the next sign of life has to be sent."""

    def _usual_microseconds(self) -> int:
        with suppress(ValueError):
            if int(self._environ.get("WATCHDOG_PID", os.getpid())) == os.getpid():
                return int(self._environ.get("WATCHDOG_USEC", "0"))
        return 0

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def beat(self, now: float) -> None:
        if self.due is not None and now >= self.due:
            self.due = now + self._every
            self._send("WATCHDOG=1")

    def have_patience(self, seconds: float) -> None:
        """No sign of life may come for so long; 0 stands for an unknown time.

        By WATCHDOG_USEC (sd_notify(3)): EXTEND_TIMEOUT_USEC would move other limits as well.
        """
        self._watch(self._usual + round((seconds or _DAY) * 1e6))

    def have_none(self) -> None:
        """Let signs of life come as often as the unit wants them, from now on."""
        self._watch(self._usual)

    def _watch(self, microseconds: int) -> None:
        if self._usual:
            self._send(f"WATCHDOG=1\nWATCHDOG_USEC={microseconds}")

    def forget(self) -> None:
        """In a worker: only the master speaks for the service, the application included."""
        self._address = ""
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            self._environ.pop(name, None)

    def _send(self, message: str) -> None:
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode(), self._address)
