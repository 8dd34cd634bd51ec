"""What the development loop answers in the application's place.

What lives here: the answers of one worker, each from what is asked: the script and the version, the
page of code that does not start, the page of an exception. What must not: calls of the application
(wsgi_errors.py, asgi_errors.py), how a page looks (error_page.py).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from bare_serve.dev import error_page, live
from bare_serve.dev.asked import Asked
from bare_serve.dev.failure import Failure, describe, from_json
from bare_serve.dev.state import BrowserOptions, DevState, Reading, read_record

logger = logging.getLogger("bare_serve.app")

_BROKEN = "The code does not start."
_STARTS = "It is about to be started again."
_RAISED = "The application has raised an exception."
_LOADS_ITSELF = "This page loads itself again as soon as the code has changed."

_PLAIN = ("Content-Type", "text/plain; charset=utf-8")


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    @property
    def status_line(self) -> str:
        """Number and reason, as WSGI wants them."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


class Given(NamedTuple):
    """What the application is handed for a request, as a page shows it."""

    name: str
    """"environ" or "scope"."""
    target: str
    rows: Callable[[], tuple[tuple[str, str], ...]]
    xray: Callable[[], str] | None


class Answers:
    """Those of one worker."""

    def __init__(
        self, state: DevState, options: BrowserOptions, *, stands_in: bool = False
    ) -> None:
        """Answer by what `state` says; `stands_in`: what is served is not the application."""
        self.state = state
        self._stands_in = stands_in
        self.options = options
        self._failure: tuple[int, Failure, str] | None = None

    # ------------------------------------------------------------------ what is asked

    def sees_errors(self, asked: Asked) -> bool:
        """Return whether this client may see what has failed."""
        return self.options.error_page and asked.is_local

    def mark(self, asked: Asked, reading: Reading) -> str:
        """Return the number of the code that serves here and that of the failure that is shown, 0
        for none, as the script compares them."""
        shown = 0
        if self.sees_errors(asked):
            shown = reading.sequence if reading.failure is not None else int(self._stands_in)
        return f"{self.state.code}.{shown}"

    # ------------------------------------------------------------------ answers

    def own(self, asked: Asked, reading: Reading) -> Answer | None:
        """Return the answer to a path of the development loop; None for all other paths."""
        if not asked.path.startswith(live.OWN):
            return None
        name = asked.path.removeprefix(live.OWN)
        if asked.method not in ("GET", "HEAD"):
            return _plain(405, "Only GET and HEAD.\n", [("Allow", "GET, HEAD")])
        if name == "version":
            if self.state.is_outdated:  # the page would be loaded from the code before once more
                return _plain(503, "Other code serves.\n")
            return _plain(200, self.mark(asked, reading))
        if name == "live.js":
            body = live.SCRIPT.encode()
            fields = [("Content-Type", "text/javascript; charset=utf-8")]
            return _answer(200, [*fields, ("Cache-Control", "no-cache")], body)
        return _plain(404, f"bare-serve has nothing at {live.OWN}{name[:80]}\n")

    def broken(self, asked: Asked, reading: Reading) -> Answer | None:
        """Return the answer while new code does not start; None if it does, or if this client may
        not see why."""
        if not (reading.failure is not None or self._stands_in) or not self.sees_errors(asked):
            return None
        failure, details = Failure(_STARTS, ()), ""
        if reading.failure is not None:
            failure, details = self._read(reading)
        page = error_page.Page(_BROKEN, _LOADS_ITSELF, details=details)
        return self._shown(503, failure, page, asked, reading)

    def raised(self, error: BaseException, asked: Asked, given: Given) -> Answer:
        """Return the answer in the place of an exception of the application's."""
        page = error_page.Page(
            _RAISED,
            _LOADS_ITSELF,
            request=f"{asked.method} {given.target}",
            received=given.name,
            rows=given.rows(),
            xray=given.xray() if given.xray is not None else "",
        )
        return self._shown(500, describe(error), page, asked, self.state.read())

    def _shown(
        self, status: int, failure: Failure, page: error_page.Page, asked: Asked, reading: Reading
    ) -> Answer:
        resend = asked.method not in ("GET", "HEAD")
        script = live.tag(asked.root, self.mark(asked, reading), resend=resend)
        page = page._replace(script=script)
        fields, body = error_page.answer(asked.form, failure, page, status)
        return Answer(status, fields, body)

    def _read(self, reading: Reading) -> tuple[Failure, str]:
        """Return the failure that the state tells of, and its traceback as text."""
        if self._failure is None or self._failure[0] != reading.sequence:
            self._failure = (reading.sequence, *_failure_of(reading.failure or b""))
        return self._failure[1:]


def _failure_of(record: bytes) -> tuple[Failure, str]:
    try:
        found = read_record(record)
        message, details = str(found["message"]), str(found["details"])
        structure = found["exception"]
    except (ValueError, TypeError, KeyError):
        return Failure("The reason stands in the log.", ()), ""
    failure = from_json(json.dumps(structure)) if structure is not None else None
    return (failure or Failure("", ()))._replace(about=message), details


def _plain(status: int, text: str, fields: list[tuple[str, str]] | None = None) -> Answer:
    return _answer(status, [_PLAIN, ("Cache-Control", "no-store"), *(fields or [])], text.encode())


def _answer(status: int, fields: list[tuple[str, str]], body: bytes) -> Answer:
    fields = [*fields, ("Content-Length", str(len(body))), ("X-Content-Type-Options", "nosniff")]
    return Answer(status, fields, body)
