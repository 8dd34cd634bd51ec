"""The trace that a request belongs to (W3C Trace Context), handed on to the application.

A sound traceparent is passed on as it came, with its tracestate. One that is not sound, or none, is
replaced by that of a new trace that nothing has recorded (flags 00), and the tracestate is dropped,
as section 3.2 of the recommendation asks where a traceparent cannot be read. The application finds
the id of the trace as `trace_id` in environ or scope.
"""

from __future__ import annotations

from bare_serve.http.trace_context import trace_id
from bare_serve.middleware.ids import new_id
from bare_serve.middleware.policy import Head


class TraceContext:
    """`trace-context`: sees to it that each request has a sound traceparent."""

    def __init__(self, trust: bool = True) -> None:
        """`trust`: go on with the trace that a client has sent."""
        self._trust = trust

    def begin(self, request: Head) -> None:
        """Look at the trace, or begin one."""
        given = request.header("traceparent") if self._trust else None
        found = None if given is None else trace_id(given.encode("latin-1"))
        if found is None:
            found = new_id()
            request.put_header("traceparent", f"00-{found}-{new_id()[:16]}-00")
            request.drop_header("tracestate")
        request.put("trace_id", found)
