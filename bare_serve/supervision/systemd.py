"""What systemd is told, by its datagrams (sd_notify(3)); nothing at all where nobody listens.

READY once every worker is ready, RELOADING and READY again around a reload, STOPPING, a STATUS
line for `systemctl status`, and WATCHDOG as often as systemd asks for it: the master's loop
sends it, so it stops when the loop does. Nothing here fails: a server does not stop serving
because nobody hears that it serves.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress


class Notifier:
    """A line to the service manager."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        address = environ.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte with which abstract names begin.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        self._every = self._interval() if address else 0.0
        self.due: float | None = time.monotonic() if self._every else None
        """When the next sign of life has to be sent."""

    def _interval(self) -> float:
        with suppress(ValueError):
            if int(self._environ.get("WATCHDOG_PID", os.getpid())) == os.getpid():
                # Half of it, as sd_watchdog_enabled(3) advises.
                return int(self._environ.get("WATCHDOG_USEC", "0")) / 2e6
        return 0.0

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
