"""Where a worker says what it was doing when it is about to be killed: in the error log.

Not by logging, whose lock the interrupted code may hold, and the stacks are written by C code: so
all that is wanted is a descriptor. Looks at what there is, and opens nothing.
"""

from __future__ import annotations

import logging

from bare_serve.logs.sinks import FileSink

logger = logging.getLogger("bare_serve")


def error_log_descriptor() -> int:
    """Return the descriptor of --error-log's file, kept at a reopening; else standard error."""
    for handler in logger.handlers:
        sink = getattr(handler, "sink", None)
        if isinstance(sink, FileSink) and sink.path:
            return sink.fd
    return 2
