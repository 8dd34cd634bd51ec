"""An x-ray that is attached to a worker which serves, and taken off again.

What lives here: from an order to records in memory that the one who has attached reads, and when
it is over: after so many requests, or once nobody puts off the order's end. What must not: how
classes change (asgi/traced_attached.py, wsgi/traced_attached.py), what an order looks like
(counts/xray_order.py). Imported only by a worker that gets an order.

Nothing here waits for who reads. At most 20 requests a second are shown, whatever was asked for.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import bare_serve.clauses.table
from bare_serve.counts.xray_order import ROOM, Order, Ring
from bare_serve.logs.xray_log import MOST_A_SECOND
from bare_serve.system import forks
from bare_serve.workers.slot import Slot
from bare_serve.xray import redact
from bare_serve.xray.layers import LayersError, install
from bare_serve.xray.options import XrayOptions
from bare_serve.xray.show import printable
from bare_serve.xray.trace import Block, Tracer

if sys.version_info >= (3, 12):  # now, and not while requests wait for it
    import bare_serve.xray.layer_monitoring
else:
    import bare_serve.xray.layer_profile  # noqa: F401

logger = logging.getLogger("bare_serve.worker")


_MORE_OPEN: Final = 100
"""So many requests more than were asked for are recorded at a time: clients choose their number."""
_LARGE: Final = ROOM // MOST_A_SECOND - 8
"""Bytes of a record: as many of this size as a second brings find room together."""
_CUTS: Final = (8000, 2000, 500, 100)
"""Characters of each text of a record that is large."""

Served = tuple[str, str, Callable[[Tracer], Callable[[], None]]]
"""What a worker serves, what splits its heads, and what has its requests be shown by a tracer and
returns what ends that."""


class Attached:
    """One order that is obeyed."""

    def __init__(self, number: int, order: Order, slot: Slot, served: Served) -> None:
        """Begin.

        Raises:
            OSError: the system gives no memory for records.
        """
        self._number = number
        self._slot = slot
        self._left = order.requests
        """Requests that are still to come to their end."""
        self._most_open = order.requests + _MORE_OPEN
        self._records = 0
        self._open = 0
        """Records that are not finished."""
        self._second = 0.0
        self._in_second = 0
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._ring = Ring(number)
        self._let_go = forks.holds(lambda: (self._ring.fd,))
        options = XrayOptions(
            order.pattern, full=order.full, bodies=order.bodies, server_timing=False
        )
        self._tracer = tracer = Tracer(options, self._admit, self._show)
        target, tracer.parser, begin = served
        tracer.app_name = printable(target.replace(":", "."))
        if order.layers:
            try:
                tracer.layers = install()
            except LayersError as error:  # a debugger or a profiler is at work
                logger.warning("The x-ray shows no layers: %s.", error)
        redact.show_only_harmless(True)
        try:
            self._end = begin(tracer)
        except BaseException:
            self._end = lambda: None
            self.end()
            raise
        slot.obey_xray(number)

    def goes_on(self) -> bool:
        """Return whether the order goes on; all is over if it does not.

        Once there are records enough, the worker serves as before; what it has recorded can be read
        until the order ends.
        """
        if self._slot.xray_order()[0] != self._number:
            self.end()
            return False
        with self._lock:
            is_done = not self._left
        if is_done and not self._tracer.over:
            self._show_no_more()
        return True

    def _show_no_more(self) -> None:
        self._tracer.over = True
        self._end()
        layers, self._tracer.layers = self._tracer.layers, None
        if layers is not None:
            layers.uninstall()
        self._ring.finish()

    def end(self) -> None:
        """Have the worker serve as before, and let go of the records."""
        if not self._tracer.over:
            self._show_no_more()
        # What requests that are still under way tell goes nowhere from here on.
        self._let_go()
        self._ring.close()
        redact.show_only_harmless(False)
        self._slot.obey_xray(0)

    def _admit(self) -> int:
        """Return the number of one more record; 0 if there are too many."""
        now = time.monotonic()
        if os.getpid() != self._pid:  # a fork of the application's
            return 0
        with self._lock:
            # Those that have not ended do not count: slow ones would leave no room for others.
            if not self._left or self._open >= self._most_open:
                return 0
            if now - self._second >= 1.0:
                self._second, self._in_second = now, 0
            self._in_second += 1
            if self._in_second <= MOST_A_SECOND:
                self._open += 1
                self._records += 1
                return self._records
        self._ring.leave_out()
        return 0

    def _show(self, block: Block) -> None:
        if os.getpid() != self._pid:
            return
        is_written = self._ring.write(_fitting(block))
        if block.is_last:
            with self._lock:
                self._open = max(self._open - 1, 0)
                self._left = max(self._left - is_written, 0)


def _fitting(block: Block) -> bytes:
    """Return a record; of one that would take much of the ring, long texts are cut.

    Clients choose how long they are, and none is to be left out for that, or to leave others out.
    """
    record = json.dumps(block).encode("ascii")
    for limit in _CUTS:
        if len(record) <= _LARGE:
            break
        steps = [step._replace(text=_cut(step.text, limit)) for step in block.steps]
        title, layers = _cut(block.title, limit), block.layers[:limit]
        record = json.dumps(block._replace(title=title, steps=steps, layers=layers)).encode("ascii")
    return record


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]} ... {len(text) - limit} characters more"


def attach(number: int, order: bytes, slot: Slot, served: Served) -> Attached | None:
    """Obey an order, or say in the log why not; return what goes on."""
    asked = Order.of(order)
    if asked is None:
        logger.warning("An order to attach an x-ray makes no sense and is not obeyed.")
        return None
    try:
        return Attached(number, asked, slot, served)
    except OSError as error:
        logger.warning("An x-ray cannot be attached: %s.", error.strerror or error)
        return None
