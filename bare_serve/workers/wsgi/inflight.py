"""What a WSGI worker has in progress, one line each: the requests that its threads serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bare_serve.workers.inflight import describe

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
