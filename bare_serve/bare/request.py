"""A request and its body, which is read before the call, and is bounded.

What lives here: what handlers see of a request beside its head (incoming.py), reading its body, and
what the body's text and JSON are. What must not: where the pieces of a body come from (asgi.py,
wsgi.py), forms (forms.py). A length that is too large is refused before a byte is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from bare_serve.bare.errors import BadRequest, ContentTooLarge, UnsupportedMediaType
from bare_serve.bare.incoming import Incoming

PATH, NONE, REQUEST, BYTES, FORM = range(-1, 4)
"""What a call needs: parameters of the path and no more, nothing of a body, what a request has of
it, all of it, or a form's parts."""

_BODILESS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_LENGTH = re.compile(r"[0-9]{1,19}").fullmatch
_JSON = re.compile(r"application/(?:.+\+)?json").fullmatch


class Request(Incoming):
    """One request, as a handler gets it by a parameter annotated `Request` or named `request`.

    Attributes:
        content: the body, whole; the framework has read it before the call, up to `max_body`.
        form: the form in the place of the body, if the handler declares one.
        later: what `background` was asked for.
        waits: for what a stream in a thread waits on the loop: that the client leaves, takes more.
    """

    content: bytes = b""
    form: Any = None
    later: list[Callable[[], Any]] | None = None
    waits: Any = ()

    async def body(self) -> bytes:
        """Return `content`; this and the next two are awaited where `content` is not."""
        return self.content

    async def text(self) -> str:
        """Return the body as text; BadRequest if it is no UTF-8."""
        return decode_text(self.content)

    async def json(self) -> Any:
        """Return the body's JSON; BadRequest if it is none."""
        return decode_json(self.content)

    def background(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `function` after the answer is sent: `def` in a thread, `async def` on the loop.

        The server waits for it when it stops, within its grace; an exception is logged. A request
        that fails starts nothing.
        """
        self.later = [*(self.later or ()), partial(function, *args, **kwargs)]

    def end(self) -> None:
        """Close the files of the form, and start what is to follow the answer."""
        if self.form is not None:
            self.form.close()
        if self.later is not None:
            self.app.runner.start(self.later)


def decode_text(content: bytes) -> str:
    """Return a body as text; BadRequest if it is no UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"The body is not UTF-8: byte {error.start} cannot be decoded."
        raise BadRequest(what, where="body") from None


def decode_json(content: bytes) -> Any:
    """Return the value of a JSON body; BadRequest if it is none (RFC 8259)."""
    text = decode_text(content)
    try:
        return _decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}", where="body") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON (RFC 8259, 6)")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode  # `loads` makes one each time


def json_of(request: Request) -> Any:
    """Return the value of a body of type application/json or .../x+json; else HTTPError."""
    kind = request.content_type.partition(";")[0].strip().lower()
    if not _JSON(kind):
        what = f"The body must be application/json, not {kind or 'of no type'}."
        raise UnsupportedMediaType(what, where="content-type")
    return decode_json(request.content)


async def read_body(
    request: Request, need: int, limit: int, declared: str | None, pieces: AsyncIterator[bytes]
) -> None:
    """Hand the body, or the form, to the request.

    Args:
        request: whose body it is.
        need: of the call.
        limit: bytes that the body may have.
        declared: the Content-Length, or ""; None where nothing says that there is a body.
        pieces: of the body; they are not asked for if the length is too large.

    Raises:
        HTTPError: it is too large, or no form where one is needed.
    """
    if declared is None and need != FORM and request.method in _BODILESS:
        return  # mostly they have none; then the wait for its end is saved
    if declared and not _LENGTH(declared):
        raise BadRequest("The Content-Length is no number.", where="content-length")
    too_large = ContentTooLarge(f"The body may have {limit} bytes at most.", where="body")
    if declared and int(declared) > limit:
        raise too_large

    async def bounded() -> AsyncIterator[bytes]:
        got = 0
        async for piece in pieces:
            got += len(piece)
            if got > limit:
                raise too_large
            yield piece

    if need == FORM:
        from bare_serve.bare.forms import Form, read_form

        request.form = Form()
        await read_form(request.form, request.content_type, bounded())
    else:
        request.content = b"".join([piece async for piece in bounded()])
