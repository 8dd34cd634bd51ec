"""Clauses of the ASGI specification: its main part, HTTP, the extensions and lifespan.

What lives here: rows. Those whose name begins with `asgi-scope` or `asgi-event` hold for whoever
calls the application: a server, or a middleware around it. WebSockets are in websocket.py.
"""

from __future__ import annotations

from typing import Final

from bare_serve.clauses.clause import ADVICE, ERROR, NOTE, Clause, Weight


def _row(
    name: str, place: str, weight: Weight, expected: str, fix: str, *, reported: bool = False
) -> Clause:
    spec, _, section = place.partition(", ")
    return Clause(name, spec, section, weight, expected, fix, reported)


_APPLICATIONS = "ASGI, Applications"
_EVENTS = "ASGI, Events"
_START = "ASGI HTTP, Response Start"
_BODY = "ASGI HTTP, Response Body"
_LIFESPAN = "ASGI lifespan, "

ROWS: Final = (
    _row(
        "asgi-app-awaitable",
        _APPLICATIONS,
        ERROR,
        "A call of the application gives an awaitable.",
        "Write 'async def', or return what the inner application returned.",
    ),
    _row(
        "asgi-scope-dict",
        _APPLICATIONS,
        ERROR,
        "The scope is a dict with a 'type'.",
        "Pass on the scope that came in, or a copy by dict(scope).",
    ),
    _row(
        "asgi-scope-keys",
        "ASGI HTTP, HTTP Connection Scope",
        ERROR,
        "The scope has all keys that its type must have.",
        "Change a copy of the scope that came in instead of making one.",
    ),
    _row(
        "asgi-scope-values",
        "ASGI HTTP, HTTP Connection Scope",
        ERROR,
        "Each key of the scope has the type that the specification names.",
        "Leave the value that came in, or put one of that type there.",
    ),
    _row(
        "asgi-scope-method",
        "ASGI HTTP, HTTP Connection Scope",
        ERROR,
        "The method is in upper case.",
        "Write method.upper().",
    ),
    _row(
        "asgi-event-dict",
        _EVENTS,
        ERROR,
        "receive gives dicts with a 'type' that belongs to the scope.",
        "Return what the inner receive gave, or an event of the same form.",
    ),
    _row(
        "asgi-event-order",
        _EVENTS,
        ERROR,
        "Events come in order: the request's body up to its end, then a disconnect.",
        "Hand the events on as they came; replay a body that was read, once.",
    ),
    _row(
        "asgi-event-values",
        _EVENTS,
        ERROR,
        "Each key of an event has the type that the specification names.",
        "Put bytes into 'body' and 'bytes', str into 'text', a bool into 'more_body'.",
    ),
    _row(
        "asgi-message-dict",
        _EVENTS,
        ERROR,
        "send takes a dict with a 'type'.",
        "Write send({'type': ..., ...}).",
        reported=True,
    ),
    _row(
        "asgi-message-unknown",
        "ASGI, Protocol Specifications",
        ERROR,
        "The type of a message is one that the scope's protocol knows.",
        "Look at scope['type'] first, and raise for a type that the application does not serve.",
        reported=True,
    ),
    _row(
        "asgi-http-start-first",
        _START,
        ERROR,
        "'http.response.start' comes before any body.",
        "Send it with a status and headers first.",
        reported=True,
    ),
    _row(
        "asgi-http-start-twice",
        _START,
        ERROR,
        "'http.response.start' is sent once.",
        "Where an answer has begun, let an error rise instead of answering it.",
        reported=True,
    ),
    _row(
        "asgi-http-after-end",
        _BODY,
        ERROR,
        "The answer ends with the first message whose more_body is not True.",
        "Send more_body=True with each piece but the last, and nothing behind the last.",
        reported=True,
    ),
    _row(
        "asgi-http-status",
        _START,
        ERROR,
        "'status' is there, and is an int.",
        "Send 'status': 200, without quotes.",
        reported=True,
    ),
    _row(
        "asgi-headers-pairs",
        _START,
        ERROR,
        "Headers are an iterable of pairs, each a name and a value in bytes.",
        "Write [(b'content-type', b'text/plain')], and encode what is str.",
        reported=True,
    ),
    _row(
        "asgi-headers-case",
        _START,
        NOTE,
        "The names of headers are in lower case.",
        "Write b'content-type'.",
    ),
    _row(
        "asgi-headers-hop-by-hop",
        _START,
        ADVICE,
        "Headers of the connection, such as Transfer-Encoding, are the server's; what an "
        "application says there is not sent.",
        "Leave the header out.",
    ),
    _row(
        "asgi-http-trailers-flag",
        _START,
        ADVICE,
        "'trailers' is True or False.",
        "Write 'trailers': True only where trailers follow.",
    ),
    _row(
        "asgi-http-body",
        _BODY,
        ERROR,
        "'body' is bytes.",
        "Encode text, as by text.encode('utf-8').",
        reported=True,
    ),
    _row(
        "asgi-http-more-body",
        _BODY,
        ERROR,
        "'more_body' is True or False.",
        "Write bool(...) around a value of another type.",
        reported=True,
    ),
    _row(
        "asgi-http-no-answer",
        _START,
        ERROR,
        "The application answers before it returns.",
        "Send 'http.response.start' and a last 'http.response.body' on each way out.",
        reported=True,
    ),
    _row(
        "asgi-http-unfinished",
        _BODY,
        ERROR,
        "The application ends its answer before it returns.",
        "Send a last 'http.response.body' without more_body, and trailers if they were announced.",
        reported=True,
    ),
    _row(
        "asgi-loop-held",
        _APPLICATIONS,
        NOTE,
        "An application awaits what takes long; meanwhile the loop serves others.",
        "Use an asynchronous library, or asyncio.to_thread for a call that blocks or computes.",
    ),
    _row(
        "asgi-extension-offered",
        "ASGI, Extensions",
        ERROR,
        "Messages of an extension are sent only where scope['extensions'] has its name.",
        "Look into scope.get('extensions') first, and have a way without it.",
    ),
    _row(
        "asgi-extension-order",
        "ASGI, Extensions",
        ERROR,
        "Files take the place of body, debug information comes before the start, early hints "
        "before the body.",
        "Send the message at its place.",
        reported=True,
    ),
    _row(
        "asgi-trailers-announced",
        "ASGI extensions, HTTP Trailers",
        ERROR,
        "Trailers follow the last body of an answer whose start has said trailers=True.",
        "Send 'trailers': True in 'http.response.start', and the trailers at the end.",
        reported=True,
    ),
    _row(
        "asgi-pathsend-path",
        "ASGI extensions, Path Send",
        ERROR,
        "'path' is the path of a regular file that the server can open.",
        "Look for the file before 'http.response.start', and answer 404 without it.",
        reported=True,
    ),
    _row(
        "asgi-pathsend-absolute",
        "ASGI extensions, Path Send",
        ADVICE,
        "'path' is an absolute path, as str.",
        "Write os.path.abspath(path).",
    ),
    _row(
        "asgi-zerocopysend-file",
        "ASGI extensions, Zero Copy Send",
        ERROR,
        "'file' is an open regular file with a descriptor.",
        "Send what has no descriptor, such as BytesIO, as 'http.response.body'.",
        reported=True,
    ),
    _row(
        "asgi-zerocopysend-numbers",
        "ASGI extensions, Zero Copy Send",
        ERROR,
        "'offset' and 'count' are numbers of bytes, or not there.",
        "Send an int that is not negative, or leave the key out.",
        reported=True,
    ),
    _row(
        "asgi-early-hint-links",
        "ASGI extensions, Early Hints",
        ERROR,
        "'links' is an iterable of values of the Link header, in bytes.",
        "Write [b'</style.css>; rel=preload; as=style'].",
        reported=True,
    ),
    _row(
        "asgi-lifespan-order",
        f"{_LIFESPAN}Scope",
        ERROR,
        "Each event of the lifespan is answered once, with its own complete or failed.",
        "Await receive(), then send the event's type with '.complete' or '.failed' behind it.",
        reported=True,
    ),
    _row(
        "asgi-lifespan-message",
        f"{_LIFESPAN}Startup Failed",
        ADVICE,
        "'message' is a str.",
        "Write str(error).",
    ),
    _row(
        "asgi-lifespan-unanswered",
        f"{_LIFESPAN}Startup Complete",
        NOTE,
        "An application without a lifespan raises when it is called for one.",
        "Raise for scope types that the application does not serve, or answer the startup.",
        reported=True,
    ),
)
