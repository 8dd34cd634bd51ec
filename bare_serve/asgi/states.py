"""The order of an answer's messages: its states, and the error for a message at the wrong time.

States go only forward: START -> HELD (head known, nothing sent) -> STREAM (head sent) ->
TRAILERS (body complete, trailers announced) -> DONE; a file that is on its way makes it SENDING
meanwhile.
"""

from __future__ import annotations

from typing import Any

from bare_serve.errors import ResponseError

START, HELD, STREAM, SENDING, TRAILERS, DONE = range(6)

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
