"""HTTP/1.1 without I/O: bytes in, events and bytes out (RFC 9110, RFC 9112).

Nothing in this package touches a socket, a thread, an event loop or a log. `connection.py` is
the way in; `docs/architecture.md` shows how the pieces stand to each other. What other versions
of HTTP share is in `http`.
"""

from bare_serve.http1.connection import ServerConnection
from bare_serve.http1.parser import HeadParser, ParserChoice, select_parser
from bare_serve.http1.reader import END_OF_BODY, MUST_CLOSE, NEED_DATA, PAUSED, Event
from bare_serve.http1.response import ResponseFields, response_fields, status_line

__all__ = [
    "END_OF_BODY",
    "MUST_CLOSE",
    "NEED_DATA",
    "PAUSED",
    "Event",
    "HeadParser",
    "ParserChoice",
    "ResponseFields",
    "ServerConnection",
    "response_fields",
    "select_parser",
    "status_line",
]
