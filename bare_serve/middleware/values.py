"""Values that several policies have: what their options may say, and what they tell of a request.

What lives here: the names of kinds of options, paths that are left out, credentials in a file,
a request as a line of a log. What must not: any single policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bare_serve.http.log_text import describe_target
from bare_serve.middleware.policy import Answer, Head

Size = int
"""A number of bytes; on the command line also 64KiB and 1MiB."""
Seconds = float
"""A length of time; on the command line also 500ms, 2m and 1h."""


def paths(name: str, values: Iterable[str]) -> frozenset[str]:
    """Return paths as a set.

    Raises:
        ValueError: one does not begin with a slash. The message begins with `name`.
    """
    found = frozenset(texts(name, values))
    for path in found:
        if not path.startswith("/"):
            raise ValueError(f"{name}: {path!r} is no path; it begins with a slash")
    return found


def texts(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return texts as a tuple; a single text is a mistake that iterates.

    Raises:
        ValueError: they are no texts. The message begins with `name`.
    """
    found = () if isinstance(values, str) else tuple(values)
    if isinstance(values, str) or not all(isinstance(value, str) for value in found):
        raise ValueError(f"{name} must be a list of texts, not {values!r}")
    return found


def lines_of(name: str, path: str | None) -> list[str]:
    """Return the lines of a file without empty ones and comments (#); none without a path.

    Raises:
        ValueError: it cannot be read. The message begins with `name`, and tells no line.
    """
    if path is None:
        return []
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ValueError(f"{name}: cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{name}: {path} is not UTF-8") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def plain(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer in plain text."""
    fields = [("Content-Type", "text/plain; charset=utf-8"), *headers]
    return Answer(status, fields, f"{text}\n".encode())


def described(request: Head) -> str:
    """Return method and target for a log: no character in it can end the line."""
    method = "WebSocket" if request.kind == "websocket" else request.method
    return f"{ascii(method)[1:-1]} {describe_target(request.target.encode('latin-1', 'replace'))}"
