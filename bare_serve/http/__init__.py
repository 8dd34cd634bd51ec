"""What every version of HTTP shares, without I/O (RFC 9110).

Request heads, the rules on fields, hosts and targets, limits and deadlines, and the interfaces by
which the rest of the server sees a connection. Nothing here knows a version of HTTP by its syntax;
`http1` has that of HTTP/1.1.
"""

from bare_serve.http.deadlines import Deadlines
from bare_serve.http.exchange import Output, ServerExchange, Timed
from bare_serve.http.fields import Field
from bare_serve.http.head import RequestHead
from bare_serve.http.limits import LINGER_BYTES, LINGER_SECONDS, Limits, Timeouts
from bare_serve.http.phases import BODY, CLOSED, HEAD, IDLE, RESPONSE

__all__ = [
    "BODY",
    "CLOSED",
    "HEAD",
    "IDLE",
    "LINGER_BYTES",
    "LINGER_SECONDS",
    "RESPONSE",
    "Deadlines",
    "Field",
    "Limits",
    "Output",
    "RequestHead",
    "ServerExchange",
    "Timed",
    "Timeouts",
]
