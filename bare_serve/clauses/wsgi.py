"""Clauses of PEP 3333: WSGI.

What lives here: rows. Those whose name begins with `wsgi-environ` hold for whoever calls the
application: a server, or a middleware around it.
"""

from __future__ import annotations

from typing import Final

from bare_serve.clauses.clause import ADVICE, ERROR, NOTE, Clause, Weight


def _row(
    name: str, section: str, weight: Weight, expected: str, fix: str, *, reported: bool = False
) -> Clause:
    return Clause(name, "PEP 3333", section, weight, expected, fix, reported)


_DETAILS = "Specification Details"
_ENVIRON = "environ Variables"
_STREAMS = "Input and Error Streams"
_START = "The start_response() Callable"
_LENGTH = "Handling the Content-Length Header"
_UNICODE = "Unicode Issues"
_WRITE = "The write() Callable"

ROWS: Final = (
    _row(
        "wsgi-environ-dict",
        _DETAILS,
        ERROR,
        "The environ is a dict of Python itself, not of a subclass or another mapping.",
        "Pass on the environ that came in, or dict(environ).",
    ),
    _row(
        "wsgi-environ-missing",
        _ENVIRON,
        ERROR,
        "REQUEST_METHOD, SERVER_NAME, SERVER_PORT, SERVER_PROTOCOL and all wsgi.* are there.",
        "Change the environ that came in instead of making one.",
    ),
    _row(
        "wsgi-environ-str",
        _ENVIRON,
        ERROR,
        "Each CGI variable, which is one without a dot in its name, is a str.",
        "Put str(value) there, or give the variable a name with a dot.",
    ),
    _row(
        "wsgi-environ-latin1",
        _UNICODE,
        ERROR,
        "A string in the environ holds only characters up to U+00FF, each one byte.",
        "Put text.encode('utf-8').decode('latin-1') there.",
    ),
    _row(
        "wsgi-environ-method",
        _ENVIRON,
        ERROR,
        "REQUEST_METHOD is a method of HTTP, and never empty.",
        "Leave the REQUEST_METHOD that came in, or name another method.",
    ),
    _row(
        "wsgi-environ-path",
        _ENVIRON,
        ERROR,
        "SCRIPT_NAME and PATH_INFO are empty or begin with '/', and SCRIPT_NAME is not '/'.",
        "When mounting, move whole segments from PATH_INFO to SCRIPT_NAME, with their slash.",
    ),
    _row(
        "wsgi-environ-length",
        _ENVIRON,
        ERROR,
        "CONTENT_LENGTH is a number of bytes in digits, or empty, or not there.",
        "Set str(length), or delete the key where the length is not known.",
    ),
    _row(
        "wsgi-environ-header",
        _ENVIRON,
        ERROR,
        "The request's type and length are CONTENT_TYPE and CONTENT_LENGTH, without HTTP_.",
        "Rename HTTP_CONTENT_TYPE and HTTP_CONTENT_LENGTH.",
    ),
    _row(
        "wsgi-environ-version",
        _ENVIRON,
        ERROR,
        "wsgi.version is the tuple (1, 0).",
        "Leave the wsgi.version that came in.",
    ),
    _row(
        "wsgi-environ-scheme",
        _ENVIRON,
        ADVICE,
        "wsgi.url_scheme is 'http' or 'https'.",
        "Take the scheme from a proxy's header only after a look at it.",
    ),
    _row(
        "wsgi-environ-streams",
        _STREAMS,
        ERROR,
        "wsgi.input has read, readline, readlines and __iter__; wsgi.errors has write, "
        "writelines and flush.",
        "Put a whole file object there, such as io.BytesIO(body).",
    ),
    _row(
        "wsgi-environ-input",
        _STREAMS,
        ERROR,
        "wsgi.input gives bytes.",
        "Open what stands behind wsgi.input in binary mode.",
    ),
    _row(
        "wsgi-input-close",
        _STREAMS,
        ERROR,
        "The application does not close wsgi.input.",
        "Leave closing to the server.",
    ),
    _row(
        "wsgi-errors-close",
        _STREAMS,
        ERROR,
        "The application does not close wsgi.errors.",
        "Leave closing to the server.",
    ),
    _row(
        "wsgi-errors-str",
        _STREAMS,
        ERROR,
        "wsgi.errors takes str.",
        "Decode bytes before they are written there.",
    ),
    _row(
        "wsgi-start-callable",
        _DETAILS,
        ERROR,
        "The second argument of an application is a callable, start_response.",
        "Call the application as app(environ, start_response).",
    ),
    _row(
        "wsgi-start-returns",
        _START,
        ERROR,
        "start_response returns a callable, write; it is missed once an application calls it.",
        "Return what the outer start_response returns.",
    ),
    _row(
        "wsgi-start-missing",
        _START,
        ERROR,
        "start_response is called before the first piece of body.",
        "Call start_response(status, headers) on each way to a body, the empty one too.",
        reported=True,
    ),
    _row(
        "wsgi-start-twice",
        _START,
        ERROR,
        "start_response is called a second time only with exc_info.",
        "Pass sys.exc_info() as third argument from an except block, or call it once.",
        reported=True,
    ),
    _row(
        "wsgi-start-over",
        _START,
        ERROR,
        "start_response and write belong to one request, and end with it.",
        "Keep neither of them for later, nor for a thread that outlives the request.",
        reported=True,
    ),
    _row(
        "wsgi-start-exc-info",
        _START,
        ERROR,
        "exc_info is None or the three values of sys.exc_info().",
        "Pass sys.exc_info() from inside the except block.",
    ),
    _row(
        "wsgi-start-positional",
        _START,
        ADVICE,
        "The arguments of start_response are given by position, as servers name them differently.",
        "Write start_response(status, headers) or start_response(status, headers, exc_info).",
    ),
    _row(
        "wsgi-status-str",
        _START,
        ERROR,
        "The status is a str, such as '404 Not Found'.",
        "Write the number and the phrase as one str.",
        reported=True,
    ),
    _row(
        "wsgi-status-digits",
        _START,
        ERROR,
        "The status begins with three digits, and a space is behind them.",
        "Write the status as '404 Not Found'.",
        reported=True,
    ),
    _row(
        "wsgi-status-reason",
        _START,
        ADVICE,
        "The status has a reason phrase behind its digits, and no other spaces around it.",
        "Write '200 OK' rather than '200'.",
    ),
    _row(
        "wsgi-headers-list",
        _START,
        ERROR,
        "The headers are a list of Python itself.",
        "Pass list(headers), or list(headers.items()) of a dict.",
        reported=True,
    ),
    _row(
        "wsgi-headers-tuple",
        _START,
        ERROR,
        "Each header is a tuple of a name and a value.",
        "Write ('Content-Type', 'text/plain').",
        reported=True,
    ),
    _row(
        "wsgi-headers-str",
        _START,
        ERROR,
        "The names and values of headers are str.",
        "Decode bytes by latin-1, and write numbers as str(number).",
        reported=True,
    ),
    _row(
        "wsgi-headers-hop-by-hop",
        "Other HTTP Features",
        ERROR,
        "Headers of the connection, such as Connection and Transfer-Encoding, are the server's; "
        "what an application says there is not sent.",
        "Leave the header out.",
    ),
    _row(
        "wsgi-headers-status",
        _START,
        ADVICE,
        "The status is the first argument; a header named Status belongs to CGI.",
        "Leave the header out.",
    ),
    _row(
        "wsgi-latin1",
        _UNICODE,
        ERROR,
        "Statuses and headers hold only characters up to U+00FF.",
        "Encode the text as its header wants: percent-encoding, RFC 8187, or UTF-8 as latin-1.",
        reported=True,
    ),
    _row(
        "wsgi-body-iterable",
        _DETAILS,
        ERROR,
        "An application returns an iterable of bytes.",
        "Return [body], with body as bytes.",
        reported=True,
    ),
    _row(
        "wsgi-body-bytes",
        _UNICODE,
        ERROR,
        "Each piece of body is bytes, whether it is returned, yielded or written.",
        "Encode text, as by text.encode('utf-8'), and make bytes of other buffers.",
        reported=True,
    ),
    _row(
        "wsgi-body-count",
        _DETAILS,
        ERROR,
        "Where len() of the body works, it is the number of pieces; a server relies on it.",
        "Correct __len__, or take it away.",
    ),
    _row(
        "wsgi-length-over",
        _LENGTH,
        ERROR,
        "The body has as many bytes as Content-Length says; what is beyond is cut off.",
        "Give the length in bytes of the body that is sent, or leave the header out.",
        reported=True,
    ),
    _row(
        "wsgi-length-short",
        _LENGTH,
        ERROR,
        "The body has as many bytes as Content-Length says; a client waits for the rest in vain.",
        "Give the length in bytes of the body that is sent, or leave the header out.",
        reported=True,
    ),
    _row(
        "wsgi-write-iterating",
        _WRITE,
        ERROR,
        "write is not called while the returned iterable is iterated over.",
        "Yield the piece instead.",
    ),
    _row(
        "wsgi-write-used",
        _WRITE,
        NOTE,
        "New applications do not use write, as it holds up the thread that calls it.",
        "Yield the pieces instead.",
    ),
    _row(
        "wsgi-close-missing",
        _DETAILS,
        ERROR,
        "A middleware calls close() of what the application in it returned, in every case.",
        "Call close() of the inner iterable in a 'finally', or from the close() of your own.",
    ),
    _row(
        "wsgi-close-caller",
        _DETAILS,
        NOTE,
        "Whoever calls an application calls close() of what it returned, in every case.",
        "In a test, close the response; werkzeug's client leaves that to you.",
    ),
    _row(
        "wsgi-close-read",
        _DETAILS,
        ERROR,
        "No piece is asked for after close() of the iterable.",
        "In the middleware, close the inner iterable at the very end.",
    ),
)
