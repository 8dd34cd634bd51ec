"""An exception is an answer: those that handlers raise on purpose, one class for each status.

What lives here: `HTTPError` and its classes. What must not: how an exception becomes a response
(failures.py), or a page for programmers (debug_page.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus


def phrase(status: int) -> str:
    """Return the reason phrase of a status (RFC 9110, 15), or "Status" for one without."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"


class HTTPError(Exception):
    """An answer other than the handler's: `raise HTTPError(409, "This title is taken.")`."""

    status = 500

    def __init__(
        self,
        status: int | None = None,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        where: str | None = None,
    ) -> None:
        """Make an answer that is raised.

        Args:
            status: 400 to 599; a class such as `NotFound` has its own.
            detail: what the client reads; the phrase of the status without it.
            headers: fields of the answer.
            where: the part of the request that is wrong, such as "query: done".

        Raises:
            ValueError: the status is no error.
        """
        self.status = type(self).status if status is None else status
        if not 400 <= self.status <= 599:
            raise ValueError(f"an error has a status of 400 to 599, not {status!r}")
        self.detail = phrase(self.status) if detail is None else detail
        self.headers = dict(headers or {})
        self.where = where
        super().__init__(self.detail)


class _WithStatus(HTTPError):
    """An error whose class has the status."""

    def __init__(
        self,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        where: str | None = None,
    ) -> None:
        """See `HTTPError`; the class has the status."""
        super().__init__(None, detail, headers, where=where)


class BadRequest(_WithStatus):
    """400: the request cannot be understood."""

    status = 400


class Unauthorized(_WithStatus):
    """401: who asks is not known; `headers` should name a scheme in WWW-Authenticate."""

    status = 401


class Forbidden(_WithStatus):
    """403: who asks is known, and may not."""

    status = 403


class NotFound(_WithStatus):
    """404: there is no such thing."""

    status = 404


class Conflict(_WithStatus):
    """409: the state of the thing forbids it."""

    status = 409


class ContentTooLarge(_WithStatus):
    """413: the body is longer than the route takes."""

    status = 413


class UnsupportedMediaType(_WithStatus):
    """415: the body is of another type than the route takes."""

    status = 415


class UnprocessableContent(_WithStatus):
    """422: understood, but a value is not what the route takes; `where` says which."""

    status = 422


class TooManyRequests(_WithStatus):
    """429: later again; `headers` may say when in Retry-After."""

    status = 429


class ClientLeft(Exception):
    """The client has left before its request or its answer was whole; providers see it."""
