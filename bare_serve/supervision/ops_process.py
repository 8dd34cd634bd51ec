"""The ops process as the master sees it: how it is told whom to answer, and how it is heard.

It is a side process (side_process.py): executed with its listener and the shared memory, which it
can read and not write. What it says is one of a few words (ops/orders.py), and is believed only if
orders are permitted: it may be another user's.

What must not live here: HTTP, and what an order means.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack

from bare_serve import ops
from bare_serve.counts import layout
from bare_serve.ops import orders
from bare_serve.ops.orders import Order
from bare_serve.ops.rules import Rules
from bare_serve.supervision.side_process import Running, SideProcess
from bare_serve.supervision.signals import Intent

logger = logging.getLogger("bare_serve.supervision")

_MEANINGS = {
    "reload": Intent.RELOAD,
    "more": Intent.MORE,
    "fewer": Intent.FEWER,
    "reopen": Intent.REOPEN,
}


class OpsProcess(SideProcess):
    """Keeps the ops process alive, by the same rules as a worker."""

    name = "ops process"
    program = os.path.join(os.path.dirname(ops.__file__), "__main__.py")  # noqa: PTH118, PTH120
    longest = orders.LONGEST
    beat = 1.0  # between two turns of the master's loop, at the most: each is a sign of life

    def __init__(self, listener: socket.socket, rules: Rules) -> None:
        super().__init__()
        self.listener = listener
        self._rules = rules

    def renew(self, rules: Rules) -> None:
        """Have other rules from now on."""
        self._rules = rules
        if self._running is not None:
            self.greet(self._running)

    def descriptors(self, stack: ExitStack) -> Iterable[int]:
        """See `SideProcess`: the listener, and the shared memory."""
        memory = -1 if self._means is None else self._means.memory
        # Opened anew, as what is inherited could be written to.
        readable = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, readable)
        return self.listener.fileno(), readable

    def greet(self, running: Running) -> None:
        """See `SideProcess`: whom to answer."""
        self.tell(running, self._rules.message())

    def forget(self) -> None:
        """In a new child: keep neither the socket nor the listener."""
        self.listener.close()
        super().forget()

    def hear(self, message: bytes) -> None:
        """See `SideProcess`: an order, if orders are permitted."""
        order = orders.parse(message)
        if order is not None and self._rules.control:
            logger.info("The ops process passes on an order: %s.", order)
            self._obey(order)

    def _obey(self, order: Order) -> None:
        assert self._means is not None
        if order.verb in _MEANINGS:
            self._means.ask(_MEANINGS[order.verb])
        elif self._means.replace(order.place) != layout.ACCEPTED:
            logger.warning("Worker %d cannot be replaced now.", order.place)
