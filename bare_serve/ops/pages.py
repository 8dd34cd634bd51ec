"""What the ops process answers: one function for each path.

What lives here: paths, methods, and the words of /live and /ready. What must not: whom to answer
(guard.py), sockets (serving.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bare_serve.counts.snapshot import Memory
from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.ops import guard
from bare_serve.ops.guard import NUMBERS, OPEN, ORDER, PRIVATE, Peer
from bare_serve.ops.orders import Order, parse
from bare_serve.ops.rules import Rules

TEXT: Final = b"text/plain; charset=utf-8"
DEAD_AFTER: Final = 5.0
"""Seconds without a turn of the master's loop after which /live says so."""

_INDEX = b"""\
/live      200 while the master's loop turns
/ready     200 while a worker serves, and no stop was asked for; with ?workers=all: every worker
/metrics   for Prometheus
/status    the same and more, as JSON
/stacks    what each thread is doing; with ?worker=N of one worker
POST       /reload /more /fewer /replace/N /reopen, where orders are taken
"""

Answer = tuple[int, bytes, bytes]


class Pages:
    """All the paths."""

    def __init__(self, rules: Rules, memory: Memory, give: Callable[[Order], bool]) -> None:
        """`memory`: the server's; `give` passes on an order, and returns False if it cannot."""
        self.rules = rules
        self._memory = memory
        self._give = give
        self._paths: dict[bytes, tuple[int, Callable[[RequestHead, Peer], Answer]]] = {
            b"/": (OPEN, self._index),
            b"/live": (OPEN, self._live),
            b"/ready": (OPEN, self._ready),
        }

    def respond(self, head: RequestHead, peer: Peer) -> Answer:
        """Answer a request.

        Raises:
            RequestError: it is refused.
        """
        order = _order(head.raw_path)
        if order is not None:
            _check_method(head, "POST")
            guard.check(head, peer, self.rules, ORDER)
            return self._obey(order)
        found = self._paths.get(head.raw_path)
        if found is None:
            raise RequestError(404, "There is no such path; / lists those there are.")
        what, page = found
        _check_method(head, "GET", "HEAD")
        guard.check(head, peer, self.rules, what)
        return page(head, peer)

    def _obey(self, order: Order) -> Answer:
        if not self._give(order):
            raise RequestError(503, "The master does not listen: nothing was done.")
        text = f"{order}: the master was told; its error log says what comes of it.\n"
        return 202, TEXT, text.encode()

    def _index(self, _head: RequestHead, _peer: Peer) -> Answer:
        return 200, TEXT, _INDEX

    def _live(self, _head: RequestHead, _peer: Peer) -> Answer:
        age = self._memory.pulse().beat_for
        text = f"The master's loop turned {age:.1f} s ago.\n"
        return (200 if age < DEAD_AFTER else 503), TEXT, text.encode()

    def _ready(self, head: RequestHead, _peer: Peer) -> Answer:
        pulse = self._memory.pulse()
        if head.query not in (b"", b"workers=any", b"workers=all"):
            raise RequestError(400, "/ready knows ?workers=all and ?workers=any.")
        text = f"{pulse.serving} of {pulse.wanted} workers serve.\n"
        ready = pulse.serving >= (max(pulse.wanted, 1) if head.query == b"workers=all" else 1)
        if pulse.beat_for >= DEAD_AFTER:
            ready, text = False, "Nobody knows: the master's loop does not turn.\n"
        elif pulse.state == "stopping":
            ready, text = False, f"A stop was asked for. {text}"
        return (200 if ready else 503), TEXT, text.encode()


def _check_method(head: RequestHead, *methods: str) -> None:
    if head.method not in methods:
        allowed = ", ".join(methods)
        raise RequestError(405, f"This path takes {allowed}.", f"Allow: {allowed}\r\n".encode())


def _order(path: bytes) -> Order | None:
    """Return the order that a path stands for: /reload, /replace/3; None for another path."""
    verb, slash, place = path[1:].partition(b"/")
    return parse(verb + b" " + place if slash else verb)


__all__ = ["DEAD_AFTER", "NUMBERS", "OPEN", "ORDER", "PRIVATE", "Pages"]
