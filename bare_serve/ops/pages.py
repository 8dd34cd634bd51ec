"""What the ops process answers: one function for each path.

What lives here: paths, methods, and the words of /live and /ready. What must not: whom to answer
(guard.py), sockets (serving.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from bare_serve.counts.records import Snapshot
from bare_serve.counts.snapshot import Memory, Unreadable
from bare_serve.errors import RequestError
from bare_serve.http import RequestHead
from bare_serve.ops import guard, listen_queues, metrics, processes
from bare_serve.ops.guard import NUMBERS, OPEN, ORDER, PRIVATE, Peer
from bare_serve.ops.orders import Order, parse
from bare_serve.ops.rules import Rules
from bare_serve.ops.serving import Answer, Later
from bare_serve.ops.stacks import Dump

TEXT: Final = b"text/plain; charset=utf-8"
JSON: Final = b"application/json"
DEAD_AFTER: Final = 5.0
"""Seconds without a turn of the master's loop after which /live says so."""
_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the workers' memory."""

_INDEX = b"""\
/live      200 while the master's loop turns
/ready     200 while a worker serves, and no stop was asked for; with ?workers=all: every worker
/metrics   for Prometheus
/status    the same and more, as JSON
/stacks    what each thread is doing; with ?worker=N of one worker
POST       /reload /more /fewer /replace/N /reopen, where orders are taken
"""

Page = Callable[[RequestHead, Peer], Answer | Later]


class Pages:
    """All the paths."""

    def __init__(self, rules: Rules, memory: Memory, give: Callable[[Order], bool]) -> None:
        """`memory`: the server's; `give` passes on an order, and returns False if it cannot."""
        self.rules = rules
        self._memory = memory
        self._give = give
        self._dumps: set[Dump] = set()
        """The one that is being written; a set, so that its end can be told by taking it out."""
        self._processes: dict[int, processes.Process] = {}
        self._looked_at = -_LOOK_EVERY
        self._paths: dict[bytes, tuple[int, Page]] = {
            b"/": (OPEN, self._index),
            b"/live": (OPEN, self._live),
            b"/ready": (OPEN, self._ready),
            b"/metrics": (NUMBERS, self._metrics),
            b"/status": (NUMBERS, self._status),
            b"/stacks": (PRIVATE, self._stacks),
        }

    def respond(self, head: RequestHead, peer: Peer) -> Answer | Later:
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
        if order.place and order.place not in {each.number for each in self._snapshot().workers}:
            raise RequestError(404, f"There is no worker {order.place}.")
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

    def _metrics(self, _head: RequestHead, _peer: Peer) -> Answer:
        snapshot = self._snapshot()
        pids = {worker.pid for worker in snapshot.workers}
        now = time.monotonic()
        # Reading /proc takes longer than all the rest: many scrapers see the same numbers.
        if now >= self._looked_at + _LOOK_EVERY or pids != self._processes.keys():
            self._processes, self._looked_at = processes.look(pids), now
        queues = listen_queues.look(map(str, snapshot.master.facts.get("addresses", ())))
        return 200, metrics.MEDIA_TYPE, metrics.render(snapshot, self._processes, queues)

    def _status(self, head: RequestHead, peer: Peer) -> Answer:
        told = self._snapshot().to_json()
        if not guard.may_see_requests(head, peer, self.rules):
            _leave_out_requests(told)
        return 200, JSON, json.dumps(told).encode() + b"\n"

    def _stacks(self, head: RequestHead, peer: Peer) -> Later:
        name, _, number = head.query.partition(b"=")
        if head.query and not (name == b"worker" and number.isdigit() and len(number) < 5):
            raise RequestError(400, "/stacks knows ?worker=N.")
        if self._dumps:
            raise RequestError(503, "Stacks are being written for somebody else: ask again.")
        shown = guard.may_see_requests(head, peer, self.rules)
        try:
            dump = Dump(self._memory, int(number) if number else None, with_requests=shown)
        except Unreadable as error:
            raise RequestError(503, f"Nobody knows: {error}.") from None
        if dump.is_empty:
            raise RequestError(404, "There is no such worker.")
        return _Stacks(dump, self._dumps)

    def _snapshot(self) -> Snapshot:
        try:
            return self._memory.snapshot()
        except Unreadable as error:
            raise RequestError(503, f"Nobody knows: {error}.") from None


class _Stacks:
    """An answer of /stacks."""

    def __init__(self, dump: Dump, running: set[Dump]) -> None:
        self._dump = dump
        self._running = running
        running.add(dump)

    def look(self) -> Answer | None:
        try:
            text = self._dump.text()
        except Unreadable as error:
            raise RequestError(503, f"Nobody knows: {error}.") from None
        return None if text is None else (200, TEXT, text.encode())

    def close(self) -> None:
        self._running.discard(self._dump)
        self._dump.close()


def _leave_out_requests(told: dict[str, Any]) -> None:
    """Leave out what clients have sent, and how the server is set up."""
    told["master"]["facts"].pop("settings", None)
    for worker in told["workers"]:
        worker["doing"], worker["flight"] = None, None


def _check_method(head: RequestHead, *methods: str) -> None:
    if head.method not in methods:
        allowed = ", ".join(methods)
        raise RequestError(405, f"This path takes {allowed}.", f"Allow: {allowed}\r\n".encode())


def _order(path: bytes) -> Order | None:
    """Return the order that a path stands for: /reload, /replace/3; None for another path."""
    verb, slash, place = path[1:].partition(b"/")
    return parse(verb + b" " + place if slash else verb)
