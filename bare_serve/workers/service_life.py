"""What a service obeys and reports, whatever process it runs in: the wish to stop, and the tick.

A service is a worker's serving part: it may be all that a process is for (lifecycle.py adds that
process: signals, a master), or a part of a program that goes on without it (server/embedded.py).
So nothing here touches what belongs to a process as a whole: no handlers of signals, no collector,
no log files, no memory of the C library.

`stop` may be called from any thread. It sets flags and wakes the loop; the loop looks at `stopping`
and `hurry` and decides by itself.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING

from bare_serve.workers.slot import Slot

if TYPE_CHECKING:
    from bare_serve.logs.access_log import AccessLog
    from bare_serve.workers.accept_balance import AcceptShare
    from bare_serve.workers.late_code import Prepared
    from bare_serve.workers.xray_attached import Attached

logger = logging.getLogger("bare_serve.worker")

_RESERVE = 1.0
_UNASKED = 1.0
"""Seconds for what the application has left running, in a worker that ends without being asked."""


class ServiceLife:
    """The life of one service; `grace` is how long requests may take to finish after the stop."""

    __slots__ = (
        "_order", "_prepared", "_stopped_at", "_wake", "attached", "beside", "grace", "hurry",
        "in_flight", "in_progress", "publish", "share", "slot", "stopping",
    )  # fmt: skip

    def __init__(self, slot: Slot, grace: float = 30.0) -> None:
        self.slot = slot
        self.grace = grace
        """Seconds; read once the stop begins."""
        self.stopping = False
        self.hurry = False
        self.in_progress: Callable[[], Iterable[str]] = tuple
        """Set by the worker: one line for each request that is being served."""
        self.beside: Callable[[], Iterable[str]] = tuple
        """The same for what else it does; reported only if it is about to be killed."""
        self.in_flight: Callable[[], Iterable[str]] = tuple
        """The requests as `in_progress`, but for somebody who looks."""
        self.publish: Callable[[], None] = lambda: None
        """Has others see what the worker has counted."""
        self.share: AcceptShare | None = None
        """Its part in the balance of connections, where several workers accept."""
        self.attached: Attached | None = None
        """The x-ray that somebody has attached."""
        self._order = 0
        """The number of the order that it was attached by, or the last one."""
        self._prepared: Prepared | None = None
        """The code for it."""
        self._wake: Callable[[], None] | None = None
        self._stopped_at = 0.0

    def install(self, wake: Callable[[], None], insist: Callable[[], None] = lambda: None) -> None:
        """Begin: from now on `stop` calls `wake`, which interrupts the loop, in any thread.

        `insist` is for stops that handlers of signals ask for: see `Lifecycle.install`.
        """
        self._wake = wake

    def has_booted(self, interval: AbstractContextManager[object] | None = None) -> None:
        """Note that what stays until the end is made, and that calls share the interpreter.

        `interval` sets the switch interval that suits them. The process is not ours: nothing.
        """

    def keep_handlers(self) -> None:
        """Look after handlers of signals; there are none."""

    @property
    def leave_by(self) -> float:
        """When the grace is nearly over, by time.monotonic(); soon, if no stop was asked for."""
        if self.stopping:
            # The rest is for what has to happen then, since a master kills half a second later.
            return self._stopped_at + self.grace - min(_RESERVE, self.grace / 10)
        return time.monotonic() + min(self.grace, _UNASKED)

    @property
    def has_master(self) -> bool:
        """Whether a master starts another worker when this one ends."""
        return False

    def restore(self) -> None:
        """End: from now on there is nothing to wake."""
        self._wake = None
        if self.attached is not None:
            self.attached.end()
            self.attached = None
        self.publish()

    def stop(self, *, hurry: bool = False) -> None:
        """Ask the loop to drain, or with `hurry` to stop without any grace."""
        if not self.stopping:
            self._stopped_at = time.monotonic()
        self.stopping = True
        self.hurry = self.hurry or hurry
        wake = self._wake
        if wake is not None:
            # The loop may be closed or its pipe full when the last signal arrives; both mean
            # that nothing needs waking. This must not surface inside the application.
            with contextlib.suppress(RuntimeError, OSError):
                wake()

    def tick(self, connections: int, requests: int, *, alive: bool = True) -> None:
        """Show a sign of life; at least every second.

        Not `alive`: the worker as such runs, but the threads that do its work are stuck.
        """
        if alive:
            self.slot.beat(connections, requests)
            if self.share is not None:
                self.share.tick(connections)
            self.publish()

    def heed_orders(self, target: str, parser: str, module: str, worker: object) -> None:
        """Attach an x-ray that was asked for, or end it; in the thread that serves.

        Args:
            target: what is served.
            parser: what splits heads.
            module: has a function `begin(worker, tracer)`.
            worker: what that function is handed.
        """
        if self.attached is not None:
            if not self.attached.goes_on():
                self.attached = None
            return
        number, order = self.slot.xray_order()
        if number and number != self._order:
            try:
                if self._prepared is None:
                    late = import_module("bare_serve.workers.late_code")
                    self._prepared = late.Prepared(module, worker, self._wake)
                if self._prepared.is_ready():
                    self._order = number
                    served = (target, parser, self._prepared.begin)
                    self.attached = self._prepared.attach(number, order, self.slot, served)
            except Exception as error:  # noqa: BLE001
                # The files may have been replaced since the start, or none can be opened: whoever
                # only wants to look must not end a worker by that.
                self._order = number
                self._prepared = None
                logger.warning("An x-ray cannot be attached: %s: %s.", type(error).__name__, error)

    def reopen_if_asked(self, access_log: AccessLog | None) -> None:
        """Have log files reopened if a signal asked for it; none does."""
