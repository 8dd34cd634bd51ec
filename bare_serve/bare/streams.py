"""The end of a stream: its iterator is closed, then its providers have their rest; in any case.

What lives here: what both interfaces do at the end. What must not: how pieces are sent
(asgi_stream.py, wsgi.py).
"""

from __future__ import annotations

from typing import Any

from bare_serve.bare.response import StreamResponse


async def close_pieces(pieces: Any) -> None:
    """Close an iterator of pieces, if it can be closed; it waits only for an async one."""
    close = getattr(pieces, "aclose", None) or getattr(pieces, "close", None)
    closed: Any = close() if close is not None else None
    if hasattr(closed, "__await__"):
        await closed


async def end_call(response: StreamResponse, raised: BaseException | None) -> None:
    """Run the rest of the providers of a stream, which see what has ended it."""
    assert response.after is not None
    try:
        await response.after(raised)  # type: ignore[misc]
    except BaseException as error:
        if error is not raised:
            raise
