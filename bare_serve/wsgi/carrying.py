"""A connection that an application has taken for itself carries bytes, and no HTTP.

What lives here: what the socket that the application then has (upgraded.py) asks of a connection.
What must not: that socket, which is imported for the first request that asks for a WebSocket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bare_serve.http import Timeouts
from bare_serve.wsgi.closing import READ_BYTES, Closing

if TYPE_CHECKING:
    from bare_serve.wsgi.upgraded import UpgradedSocket


class Carrying(Closing):
    """The part of a connection that carries bytes; the connection sets the attributes."""

    __slots__ = ("_timeouts", "environ", "upgraded")

    _timeouts: Timeouts
    environ: dict[str, Any]
    upgraded: UpgradedSocket | None
    """The socket as the application has it, if it has taken the connection for itself."""

    def start_lingering(self) -> bool:
        """See `Closing.start_lingering`."""
        if self.upgraded is not None:
            self.upgraded.finish()
        return super().start_lingering()

    def socket_for_upgrade(self) -> UpgradedSocket | None:
        """See `interfaces.Client`. None with one thread: nothing else would be served meanwhile."""
        if not self.environ["wsgi.multithread"]:
            return None
        from bare_serve.wsgi.upgraded import UpgradedSocket  # few applications speak WebSocket

        return UpgradedSocket(self)

    @property
    def write_seconds(self) -> float:
        """See `upgraded.Carrier`."""
        return self._timeouts.write

    def receive_plain(self) -> bytes:
        """See `upgraded.Carrier`."""
        return self.sock.recv(READ_BYTES)

    def send_plain(self, data: memoryview) -> int:
        """See `upgraded.Carrier`."""
        return self.sock.send(data)

    def flush_plain(self) -> bool:
        """See `upgraded.Carrier`."""
        return True
