"""The call of the application that a thread of a WSGI worker is in, for those that look at it.

What lives here: what reports, `--timeout-request` and the waits for clients may know of a thread.
What must not: anything that runs. The thread alone writes these attributes (caller.py); a reader in
another thread may see a call that has ended meanwhile.
"""

from __future__ import annotations

from bare_serve.workers.wsgi.compute_gate import Pass
from bare_serve.wsgi.connection import Connection


class Call:
    """One per thread: the call that the thread is in, or was in last."""

    __slots__ = ("compute_pass", "ident", "number", "requests", "serving", "streams", "ticket")

    def __init__(self, number: int) -> None:
        """Make that of the thread with this number, before its first call."""
        self.number = number
        """The number of the thread, as its name has it."""
        self.ident = 0
        """The thread, as `threading.get_ident` names it; 0 before it has led for the first time."""
        self.requests = 0
        """Calls that the thread has begun: another value is another call."""
        self.serving: Connection | None = None
        """The connection of the call; only while that is busy the call runs."""
        self.streams = False
        """Whether the application reads the body from the client."""
        self.ticket = 0
        """The number under which the leadership knows the call (`Leadership.offer`)."""
        self.compute_pass: Pass | None = None
        """The turn of the call at the compute gate, if the call was expected to be slow."""
