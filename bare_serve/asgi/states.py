"""The states of a request: of its answer's messages, and what `receive` tells of the end.

States go only forward: START -> HELD (head known, nothing sent) -> STREAM (head sent) ->
TRAILERS (body complete, trailers announced) -> DONE; a file that is on its way makes it SENDING
meanwhile. A message at the wrong time is an error of the application's, which is made here.
"""

from __future__ import annotations

from typing import Any

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


def out_of_order(state: int, kind: Any) -> ResponseError:
    """Return the error for a message of type `kind` in `state`."""
    return ResponseError(f"expected {_WANTED[state]}, but the application sent {kind!r}")
