"""A thread of a WSGI worker, and the call it is in, as other threads see it.

What lives here: the slice of a thread that reports, the request timeout and the waits for clients
read. What must not: anything that runs. The thread itself (leader.py) writes these attributes;
another thread that reads them may see a call that has ended meanwhile.
"""

from __future__ import annotations

from typing import Protocol

from bare_serve.workers.wsgi.compute_gate import Pass
from bare_serve.wsgi.connection import Connection


class Call(Protocol):
    """One per thread: the call of the application that the thread is in, or was in last."""

    number: int
    """The number of the thread, as its name has it."""
    ident: int
    """The thread, as `threading.get_ident` names it; 0 before it has led for the first time."""
    requests: int
    """Calls that the thread has begun: another value is another call."""
    serving: Connection | None
    """The connection of the call; only while that is busy the call runs."""
    streams: bool
    """Whether the application reads the body from the client."""
    call: int
    """The number under which the leadership knows the call."""
    compute_pass: Pass | None
    """The turn of the call, if the call was expected to be slow."""
