"""How large a request may be, and how long it may take: two frozen records.

What lives here: the numbers with their units. What must not: the code that applies them; each
limit is enforced where the bytes are (http1/scanner.py, http1/body.py, http1/reader.py), each
deadline in deadlines.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bare_serve.errors import RequestError

# A close that lingers (RFC 9112, 9.6) reads and discards until the client closes, within these.
# Most clients look for an answer only after their body, so much of it must be let come.
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 1 << 26


_EXCEEDED: Final = {
    "request_line": (414, "The request line is too long."),
    "headers": (431, "There are too many headers."),
    "header_size": (431, "The headers are too large."),
    "body": (413, "The request body is too large."),
}


class Limits(NamedTuple):
    """Bounds on one request. All but the last two are options of the command line."""

    request_line: int = 8190
    """Bytes of the request line without its CRLF; beyond: 414. RFC 9112, 3 asks for 8000."""
    headers: int = 100
    """Field lines; beyond: 431."""
    header_size: int = 65536
    """Bytes of all field lines with their CRLFs; beyond: 431. Holds for trailers as well."""
    body: int = 1 << 30
    """Bytes of body after de-chunking; beyond: 413."""
    chunk_extensions: int = 4096
    """Bytes that all chunk-size lines of a body may spend on extensions; beyond: 400."""
    drain: int = 1 << 18
    """Bytes of a body the application left unread that are read to keep the connection."""

    def exceeded(self, name: str, reason: str = "", asked: object = None) -> RequestError:
        """Return the refusal of a request beyond the limit of this field, which is an option.

        `reason`: a sentence for the client, in the place of the usual one; `asked`: the head.
        """
        status, usual = _EXCEEDED[name]
        option = f"--limit-{name.replace('_', '-')}"
        limit = f"{option} {_shown(getattr(self, name))}"
        error = RequestError(status, reason or usual, limit=limit)
        error.asked = asked
        return error


def _shown(value: int) -> str:
    """Return a number as a user may write it: 65536 as 64KiB."""
    for exponent, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if value and not value % (1 << exponent):
            return f"{value >> exponent}{unit}"
    return str(value)


class Timeouts(NamedTuple):
    """Deadlines of a connection in seconds; 0 turns one off, except for `keep_alive`."""

    headers: float = 10.0
    """From the first byte of a head to its blank line; also for a connection that says nothing."""
    body: float = 30.0
    """The window in which a body must arrive at MIN_BODY_RATE bytes a second at the least."""
    write: float = 30.0
    """The window in which a client must take MIN_ANSWER_RATE bytes a second of its answer."""
    keep_alive: float = 75.0
    """How long an idle connection waits for the next request: 0 for not at all, it is closed
    after each answer; infinity for ever."""

    @property
    def persistent(self) -> bool:
        """Whether a connection outlives an answer."""
        return self.keep_alive > 0
