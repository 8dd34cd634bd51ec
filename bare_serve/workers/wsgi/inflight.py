"""What a WSGI worker has in progress, one line each: the requests that its threads serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bare_serve.workers.inflight import describe

if TYPE_CHECKING:
    from bare_serve.workers.wsgi.leader import Attendant


def served(attendants: Iterable[Attendant]) -> Iterator[str]:
    """Each request that a thread is serving, and that thread as a dump of stacks names it."""
    for attendant in list(attendants):
        connection = attendant.serving
        if connection is None or not connection.busy:
            continue
        if (head := connection.http.head) is not None:
            yield describe(head) + f" (thread {attendant.number}, 0x{attendant.ident:016x})"
