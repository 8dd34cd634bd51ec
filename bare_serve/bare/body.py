"""The body of a request is read before the call, and is bounded.

What lives here: what becomes of the pieces, and when there are too many. What must not: where they
come from (asgi.py, wsgi.py). A length that is too large is refused before a byte is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bare_serve.bare.errors import BadRequest, ContentTooLarge
from bare_serve.bare.forms import form_parser
from bare_serve.bare.sources import FORM

if TYPE_CHECKING:
    from bare_serve.bare.request import Request

_LENGTH = re.compile(r"[0-9]{1,19}").fullmatch


def declared_length(text: str) -> int | None:
    """Return the number of a Content-Length; None for an empty one.

    Raises:
        BadRequest: it is no number (RFC 9110, 8.6).
    """
    if not text:
        return None
    if not _LENGTH(text):
        raise BadRequest("The Content-Length is no number.", where="content-length")
    return int(text)


class Body:
    """The pieces of one body, on their way to what the handler needs."""

    __slots__ = ("_form", "_got", "_limit", "_pieces", "_request")

    def __init__(self, request: Request, need: int, limit: int, length: int | None) -> None:
        """Expect a body of `length` bytes, if that is known.

        Raises:
            ContentTooLarge: these are more than `limit`.
            UnsupportedMediaType: a form is needed, and it is none.
        """
        self._request = request
        self._limit = limit
        self._got = 0
        self._pieces: list[bytes] = []
        if length is not None and length > limit:
            raise self._too_large()
        self._form: Any = form_parser(request.content_type) if need == FORM else None

    def feed(self, piece: bytes) -> None:
        """Take a piece; ContentTooLarge if it is one too many."""
        self._got += len(piece)
        if self._got > self._limit:
            if self._form is not None:
                self._form.form.close()
            raise self._too_large()
        if self._form is not None:
            self._form.feed(piece)
        else:
            self._pieces.append(piece)

    def finish(self) -> None:
        """Hand the body, or the form, to the request."""
        if self._form is not None:
            self._form.finish()
            self._request.form = self._form.form
            self._request.has_end = True
        else:
            pieces = self._pieces
            self._request.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self) -> ContentTooLarge:
        return ContentTooLarge(f"The body may have {self._limit} bytes at most.", where="body")
