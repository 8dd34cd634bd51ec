"""Every error the house raises on purpose, in one place.

A BareServeError ends the command: its message is printed as it is, without a traceback, and
its exit code becomes the process's. The others stay inside one connection: RequestError is
the client's fault and can still be answered, ResponseError is the app's fault and is raised
into the app, ClientGone says that the client reads no more, TlsError that there is no
talking to the client, and ProxyProtocolError that it is not known.

No other module of the server defines an exception that crosses a module's border. What messages
end with where a word may have been mistyped is here, too.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BareServeError(Exception):
    """A failure the user can act on; the message says what, where and what to do."""

    exit_code = 1


class UsageError(BareServeError):
    """Bad usage: a wrong option, value, target or setting."""

    exit_code = 2


class LayersError(BareServeError):
    """The layers of an application cannot be watched, since something else holds what is needed."""


class AppLoadError(BareServeError):
    """The application could not be imported, found, called or started.

    `details` is the application's own traceback, shown before the message; `origin`
    is the exception itself, if there is one and it was raised in this process.
    """

    exit_code = 3

    def __init__(
        self, message: str, details: str = "", origin: BaseException | None = None
    ) -> None:
        super().__init__(message)
        self.details = details
        self.origin = origin

    def tell_details(self) -> None:
        """Add the details to the traceback of this error; the command line shows them by itself."""
        if self.details:
            self.add_note(f"\n{self.details}")


class RequestError(Exception):
    """A request that breaks the protocol or a limit, and that can still be answered."""

    def __init__(self, status: int, reason: str, headers: bytes = b"", limit: str = "") -> None:
        """Make it.

        Args:
            status: the one of the answer.
            reason: a sentence for the client.
            headers: ready header lines for the answer, each with its CRLF.
            limit: the option that was exceeded and its value; for the log alone.
        """
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers
        self.limit = limit
        self.asked: Any = None
        """The head of the request as far as it was read (`http.RequestHead`), where no exchange
        has begun; None if nothing is known of it."""

    def __str__(self) -> str:
        return f"{self.status} {self.reason}" + (f" ({self.limit})" if self.limit else "")


class ProxyProtocolError(Exception):
    """What a proxy sent first is no PROXY header, so the client is not known."""


class ResponseError(ValueError):
    """The application broke a rule of its side; raised to the application."""

    def __init__(self, message: str, clause: str = "") -> None:
        """`clause`: the id of the rule in the table of `clauses/`."""
        super().__init__(message)
        self.clause = clause


class StartResponseError(ResponseError, AssertionError):
    """Wrong arguments of `start_response`: an AssertionError, as by wsgiref's validator."""


class ClientGone(OSError):
    """The client is gone: it reads no answer, and sends no more of its request."""


class TlsError(OSError):
    """The client does not speak TLS as it must: the connection ends."""

    def __init__(self, reason: str, answer: bytes = b"") -> None:
        """`answer`: what to send before the end, as it is; a TLS alert mostly."""
        super().__init__(errno.EPROTO, reason)
        self.reason = reason
        self.answer = answer


def near(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return up to so many `known` words that a person may have meant by `word`, the best first."""
    import difflib  # 1 ms of each start that only a mistake needs

    by_lower: dict[str, str] = {}
    for name in known:
        by_lower.setdefault(name.lower(), name)
    return [by_lower[close] for close in difflib.get_close_matches(word.lower(), by_lower, most)]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean this?" with the known word most like `word`, or nothing."""
    return did_you_mean(near(word, known, 1), quote="")


def did_you_mean(choices: Iterable[str], quote: str = "'") -> str:
    """Return "; did you mean 'this' or 'that'?"; nothing if there is no choice."""
    offered = " or ".join(f"{quote}{choice}{quote}" for choice in choices)
    return f"; did you mean {offered}?" if offered else ""
