"""An exception is an answer: those that handlers raise on purpose, one class for each status.

What lives here: `HTTPError` and its classes. What must not: how an exception becomes a response
(failures.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

Text = str | None
Fields = Mapping[str, str] | None
_PHRASES = {int(each): each.phrase for each in HTTPStatus}


def phrase(status: int) -> str:
    """Return the reason phrase of a status (RFC 9110, 15), or "Status" for one without."""
    return _PHRASES.get(status, "Status")


class HTTPError(Exception):
    """An answer other than the handler's: `raise HTTPError(409, "This title is taken.")`."""

    def __init__(
        self, status: int, detail: Text = None, headers: Fields = None, *, where: Text = None
    ) -> None:
        """Make an answer that is raised.

        Args:
            status: 400 to 599; a class such as `NotFound` has its own, and does not take one.
            detail: what the client reads; the phrase of the status without it.
            headers: fields of the answer.
            where: the part of the request that is wrong, such as "query.done".

        Raises:
            ValueError: the status is no error.
        """
        if not 400 <= status <= 599:
            raise ValueError(f"an error has a status of 400 to 599, not {status!r}")
        self.status = status
        self.detail = phrase(status) if detail is None else detail
        self.headers = dict(headers or {})
        self.where = where
        super().__init__(self.detail)


class _WithStatus(HTTPError):
    """An error whose class has the status: `class NotFound(_WithStatus, status=404)`."""

    status: int

    def __init_subclass__(cls, status: int = 0) -> None:
        cls.status = status or cls.status

    def __init__(self, detail: Text = None, headers: Fields = None, *, where: Text = None) -> None:
        """See `HTTPError`."""
        super().__init__(self.status, detail, headers, where=where)


class BadRequest(_WithStatus, status=400):
    """400: the request cannot be understood."""


class Unauthorized(_WithStatus, status=401):
    """401: who asks is not known; `headers` should name a scheme in WWW-Authenticate."""


class Forbidden(_WithStatus, status=403):
    """403: who asks is known, and may not."""


class NotFound(_WithStatus, status=404):
    """404: there is no such thing."""


class Conflict(_WithStatus, status=409):
    """409: the state of the thing forbids it."""


class ContentTooLarge(_WithStatus, status=413):
    """413: the body is longer than the route takes."""


class UnsupportedMediaType(_WithStatus, status=415):
    """415: the body is of another type than the route takes."""


class UnprocessableContent(_WithStatus, status=422):
    """422: understood, but a value is not what the route takes; `where` says which."""


class TooManyRequests(_WithStatus, status=429):
    """429: later again; `headers` may say when in Retry-After."""


class ClientLeft(Exception):
    """The client has left before its request or its answer was whole; providers see it."""
