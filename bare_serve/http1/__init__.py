"""HTTP/1.1 without I/O: bytes in, events and bytes out (RFC 9110, RFC 9112).

Nothing in this package touches a socket, a thread, an event loop or a log. `connection.py` is
the way in; `docs/architecture.md` shows how the pieces stand to each other.
"""

from bare_serve.http1.connection import Output, ServerConnection
from bare_serve.http1.deadlines import Deadlines
from bare_serve.http1.head import Field, RequestHead
from bare_serve.http1.limits import LINGER_BYTES, LINGER_SECONDS, Limits, Timeouts
from bare_serve.http1.parser import HeadParser, ParserChoice, select_parser
from bare_serve.http1.reader import (
    BODY,
    CLOSED,
    END_OF_BODY,
    HEAD,
    IDLE,
    MUST_CLOSE,
    NEED_DATA,
    PAUSED,
    RESPONSE,
    Event,
)
from bare_serve.http1.response import ResponseFields, response_fields, status_line

__all__ = [
    "BODY",
    "CLOSED",
    "END_OF_BODY",
    "HEAD",
    "IDLE",
    "LINGER_BYTES",
    "LINGER_SECONDS",
    "MUST_CLOSE",
    "NEED_DATA",
    "PAUSED",
    "RESPONSE",
    "Event",
    "Field",
    "HeadParser",
    "Limits",
    "Output",
    "ParserChoice",
    "RequestHead",
    "ResponseFields",
    "ServerConnection",
    "Timeouts",
    "Deadlines",
    "response_fields",
    "select_parser",
    "status_line",
]
