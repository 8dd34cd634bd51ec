"""What a WSGI worker has in progress, one line each: the requests that its threads serve."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from bare_serve.workers.inflight import Running, describe, flight_line, innermost, outwards

if TYPE_CHECKING:
    from bare_serve.workers.wsgi.call import Call


def served(calls: Iterable[Call]) -> Iterator[str]:
    """Each request that a thread is serving, and that thread as a dump of stacks names it."""
    for call in list(calls):
        connection = call.serving
        if connection is None or not connection.busy:
            continue
        if (head := connection.http.head) is not None:
            yield describe(head) + f" (thread {call.number}, 0x{call.ident:016x})"


def in_flight(calls: Iterable[Call]) -> Iterator[str]:
    """Yield the same requests, as counts/layout.py wants them; for as long as somebody looks."""
    now, frames = perf_counter(), sys._current_frames()
    for call in list(calls):
        connection = call.serving
        if connection is None or not connection.busy:
            continue
        if (head := connection.http.head) is not None:
            where = innermost(outwards(frames.get(call.ident)))
            age = now - connection.started if connection.started else 0.0
            yield flight_line(head, age, where, str(call.number), call.ident)


def running(calls: Iterable[Call]) -> Iterator[Running]:
    """Yield the requests whose calls run, for another thread. A WebSocket is none."""
    now = perf_counter()
    for call in list(calls):
        connection, number = call.serving, call.requests
        if connection is None or not connection.busy or connection.upgraded is not None:
            continue
        head, started = connection.http.head, connection.started
        if head is not None and started:
            yield Running(call, number, head, now - started, partial(_place, call.ident))


def _place(ident: int) -> str:
    return innermost(outwards(sys._current_frames().get(ident)))
