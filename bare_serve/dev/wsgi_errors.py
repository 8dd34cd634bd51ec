"""A call of a WSGI application whose exceptions are shown to its client.

What lives here: when a page can still take the place of an answer, and what is held until that is
known. What must not: what the page says (answers.py), who may see it (asked.py).

An answer can be replaced as long as no byte of it has left, by `start_response` with `exc_info`
(PEP 3333, "Error Handling"). Whole answers pass through as they are; of a 500 for a browser the
body is held, since a framework may have made it of an exception. An exception that is shown is
raised again by `close`, behind the complete answer, so that the server logs it as any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from bare_serve.clauses import mistake
from bare_serve.dev.answers import Answer
from bare_serve.dev.handled import MOST_HELD, is_the_clients, is_wanted, note, shows
from bare_serve.wsgi.response import _check, _length

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Any]

logger = logging.getLogger("bare_serve.app")


class Guard:
    """One call of the application."""

    def __init__(
        self, start_response: Start, page: Callable[[BaseException], Answer], *, holds: bool
    ) -> None:
        """Have `page` make the answer of an exception; `holds`: a 500 may be replaced as well."""
        self._start_response = start_response
        self._page = page
        self._may_hold = holds
        self._noted = note()
        self._behind: BaseException | None = None
        self._status = ""
        self._left = False
        """Bytes of the answer have left, or may have."""
        self._write: Any = None

    def call(self, application: Application, environ: dict[str, Any]) -> Any:
        """Call the application, and return what is to be sent."""
        try:
            result = application(environ, self._start)
            _length(result)
            if type(result) in (list, tuple):
                for piece in result:
                    _check(piece)
                if not self._status:
                    raise mistake(
                        "wsgi-start-missing",
                        "the application returned a body without calling start_response",
                    )
                return self._whole(result)
        except Exception as error:
            if not self._can_show(error):
                raise
            return _Shown([self._answer(error)], error)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(result, wrapper):
            return result
        return _Guarded(result, self)

    def _start(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        more = () if exc_info is None else (exc_info,)
        self._write = self._start_response(status, headers, *more)
        self._status = status
        if self.holds:
            given = exc_info[1] if exc_info else None
            self._behind = given if isinstance(given, Exception) else self._noted.behind()
        return self.write

    def write(self, data: bytes) -> None:
        """See PEP 3333, "The write() Callable"."""
        self._left = True
        self._write(data)

    @property
    def holds(self) -> bool:
        """Whether the answer is one that may be replaced when it is complete."""
        return self._may_hold and not self._left and self._status.startswith("500")

    def passes(self, piece: Any) -> None:
        """Note a piece that is about to leave."""
        self._left = self._left or bool(piece)

    def _can_show(self, error: BaseException) -> bool:
        return not self._left and not is_the_clients(error)

    def _answer(self, error: BaseException) -> bytes:
        """Begin the answer that shows an exception, and return its body."""
        answer = self._page(error)
        more = ((type(error), error, error.__traceback__),) if self._status else ()
        self._start_response(answer.status_line, answer.fields, *more)
        self._left = True
        return answer.body

    def instead(self, error: Exception) -> bytes | None:
        """Return the body of the page of an exception; None if it cannot be shown any more."""
        return self._answer(error) if self._can_show(error) else None

    def _whole(self, result: Any) -> Any:
        """Return a complete body, or in the place of a 500 the page of what is behind it."""
        page = self.instead_of(result) if self.holds else None
        return result if page is None else [page]

    def instead_of(self, pieces: Any) -> bytes | None:
        """Return the body of the page of what is behind a 500; None if nothing is known of that, or
        if the answer shows it."""
        error = self._behind or self._noted.logged
        if error is None or not all(isinstance(piece, bytes) for piece in pieces):
            return None
        if is_wanted(error) or shows(error, pieces) or not self._can_show(error):
            return None
        if error is not self._noted.logged:
            text = "The application answers 500, and has not logged why."
            logger.error(text, exc_info=error)
        return self._answer(error)


class _Shown:
    """The body of a page; the exception that it shows is raised behind it."""

    def __init__(self, pieces: list[bytes], error: BaseException) -> None:
        self._pieces = pieces
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def close(self) -> None:
        """Raise the exception, for the server to log."""
        raise self._error


class _Guarded:
    """What the application has returned, piece by piece."""

    def __init__(self, result: Any, guard: Guard) -> None:
        self._result = result
        self._guard = guard
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        guard = self._guard
        held: list[bytes] = []
        size = 0
        try:
            for piece in self._result:
                if guard.holds and size <= MOST_HELD and isinstance(piece, bytes):
                    held.append(piece)
                    size += len(piece)
                    continue
                for each in (*held, piece):
                    guard.passes(each)
                    yield each
                held = []
        except Exception as error:
            page = guard.instead(error)
            if page is None:
                raise
            self._error = error
            yield page
            return
        page = guard.instead_of(held) if guard.holds and size <= MOST_HELD else None
        yield from held if page is None else [page]

    def close(self) -> None:
        """Close what the application has returned; then raise the exception that is shown."""
        close = getattr(self._result, "close", None)
        try:
            if close is not None:
                close()
        finally:
            if self._error is not None:
                raise self._error
