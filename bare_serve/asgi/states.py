"""The states of a request: of its answer's messages, and what `receive` tells of the end.

States go only forward: START -> HELD (head known, nothing sent) -> STREAM (head sent) ->
TRAILERS (body complete, trailers announced) -> DONE; a file that is on its way makes it SENDING
meanwhile. A message at the wrong time is an error of the application's, which is made here.
"""

from __future__ import annotations

from typing import Any

from bare_serve.clauses import mistake
from bare_serve.errors import ResponseError

START, HELD, STREAM, SENDING, TRAILERS, DONE = range(6)

# What `receive` tells: nothing yet; the end, because the server stops; that the client has left.
HERE, STOPPING, LEFT = range(3)

_WANTED = (
    "'http.response.start'",
    "'http.response.body'",
    "'http.response.body'",
    "nothing, while a file is being sent",
    "'http.response.trailers'",
    "nothing, because the response is complete",
)


_AFTER = {START: "asgi-http-start-first", DONE: "asgi-http-after-end"}
_EXTENSIONS = ("http.response.pathsend", "http.response.zerocopysend", "http.response.early_hint")
_CLAUSES = {
    "http.response.start": "asgi-http-start-twice",
    "http.response.trailers": "asgi-trailers-announced",
    **dict.fromkeys((*_EXTENSIONS, "http.response.debug"), "asgi-extension-order"),
}


def clause_of(state: int, kind: Any) -> str:
    """Return the clause that a message of type `kind` breaks by coming in `state`."""
    if type(kind) is not str or not (kind in _CLAUSES or kind == "http.response.body"):
        return "asgi-message-unknown"
    if state == DONE:
        return _AFTER[DONE]
    return _CLAUSES.get(kind) or _AFTER.get(state, "asgi-http-after-end")


def out_of_order(state: int, kind: Any) -> ResponseError:
    """Return the error for a message of type `kind` in `state`."""
    got = f"expected {_WANTED[state]}, but the application sent {kind!r}"
    return mistake(clause_of(state, kind), got)


def no_message(message: Any) -> ResponseError:
    """Return the error for what is no message at all."""
    return mistake("asgi-message-dict", f"send() wants a dict with a 'type', not {message!r}")
