"""The lint of WSGI: `environ` and its streams (PEP 3333, "environ Variables").

What lives here: what a server or a middleware outside gives, and what an application does with
the two streams. What must not: the call (lint_wsgi.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from bare_serve.http.grammar import TOKEN
from bare_serve.testing.verdicts import Advise, SpecError

Breach = Callable[[str, str], SpecError]

_REQUIRED: Final = frozenset(
    (
        *("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"),
        *("wsgi.version", "wsgi.url_scheme", "wsgi.input", "wsgi.errors"),
        *("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"),
    )
)
_CGI: Final = frozenset(
    (
        *("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE"),
        *("CONTENT_LENGTH", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR"),
    )
)
_INPUT: Final = ("read", "readline", "readlines", "__iter__")
_ERRORS: Final = ("write", "writelines", "flush")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

_whole: set[tuple[type, tuple[str, ...]]] = set()
"""Types of streams that have all methods."""


def check_environ(environ: Any, advise: Advise) -> None:
    """Check what an application is given as its first argument, but for the streams in it.

    Raises:
        SpecError: the environ is not as it must be.
    """
    if type(environ) is not dict:
        got = f"the environ is of type {type(environ).__name__}"
        raise SpecError("wsgi-environ-dict", got)
    if not environ.keys() >= _REQUIRED:
        missing = ", ".join(sorted(_REQUIRED - environ.keys()))
        raise SpecError("wsgi-environ-missing", f"the environ has no {missing}")
    for name, value in environ.items():
        if type(value) is not str:
            if type(name) is str and "." in name:
                continue
            got = f"{name!r} in the environ is of type {type(value).__name__}"
            raise SpecError("wsgi-environ-str", got)
        if not value.isascii() and (name in _CGI or name[:5] == "HTTP_"):
            _check_latin1(name, value)
    _check_request(environ, advise)


def check_streams(environ: dict[str, Any], breach: Breach) -> None:
    """Put checked streams into an environ; what one lint has put there the next one leaves.

    Args:
        environ: one that `check_environ` has checked.
        breach: makes the errors that the application's use of the streams raises.

    Raises:
        SpecError: a stream has not all of its methods.
    """
    stream = environ["wsgi.input"]
    if type(stream) is not Input:
        _check_stream("wsgi.input", stream, _INPUT)
        environ["wsgi.input"] = Input(stream, breach)
    stream = environ["wsgi.errors"]
    if type(stream) is not Errors:
        _check_stream("wsgi.errors", stream, _ERRORS)
        environ["wsgi.errors"] = Errors(stream, breach)


def _check_latin1(name: str, value: str) -> None:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise SpecError("wsgi-environ-latin1", f"{name} is {value!r}") from None


def _check_request(environ: dict[str, Any], advise: Advise) -> None:
    method = environ["REQUEST_METHOD"]
    if method not in _METHODS and not TOKEN.fullmatch(method.encode("latin-1")):
        raise SpecError("wsgi-environ-method", f"REQUEST_METHOD is {method!r}")
    for name in ("SERVER_NAME", "SERVER_PORT"):
        if not environ[name]:
            raise SpecError("wsgi-environ-missing", f"{name} in the environ is empty")
    script = environ.get("SCRIPT_NAME", "")
    if script and (script[0] != "/" or script == "/"):
        raise SpecError("wsgi-environ-path", f"SCRIPT_NAME is {script!r}")
    path = environ.get("PATH_INFO", "")
    if path and path[0] != "/" and not (path == "*" and method == "OPTIONS"):
        raise SpecError("wsgi-environ-path", f"PATH_INFO is {path!r}")
    length = environ.get("CONTENT_LENGTH", "")
    if length and not (length.isascii() and length.isdigit()):
        raise SpecError("wsgi-environ-length", f"CONTENT_LENGTH is {length!r}")
    for name in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        if name in environ:
            raise SpecError("wsgi-environ-header", f"the environ has {name}")
    version = environ["wsgi.version"]
    if type(version) is not tuple or version != (1, 0):
        raise SpecError("wsgi-environ-version", f"wsgi.version is {version!r}")
    if environ["wsgi.url_scheme"] not in ("http", "https"):
        got = f"wsgi.url_scheme is {environ['wsgi.url_scheme']!r}"
        advise("wsgi-environ-scheme", got)


def _check_stream(name: str, stream: Any, methods: tuple[str, ...]) -> None:
    if (type(stream), methods) in _whole:
        return
    for method in methods:
        if not hasattr(stream, method):
            raise SpecError("wsgi-environ-streams", f"{name} has no {method}")
    if all(hasattr(type(stream), method) for method in methods):
        _whole.add((type(stream), methods))


class Input:
    """`wsgi.input`, checked; other attributes are those of the stream."""

    __slots__ = ("_breach", "_stream", "made")

    def __init__(self, stream: Any, breach: Breach) -> None:
        self.made: list[Any] = []
        """What lints further inside have made of what their applications returned."""
        self._stream = stream
        self._breach = breach

    def read(self, *size: Any) -> Any:
        """See `io.BufferedIOBase.read`."""
        return _bytes(self._stream.read(*size))

    def readline(self, *size: Any) -> Any:
        """See `io.IOBase.readline`."""
        return _bytes(self._stream.readline(*size))

    def readlines(self, *hint: Any) -> list[bytes]:
        """See `io.IOBase.readlines`."""
        return [_bytes(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(_bytes, self._stream)

    def __next__(self) -> Any:
        return _bytes(next(self._stream))

    def close(self) -> None:
        """Raise SpecError."""
        raise self._breach("wsgi-input-close", "the application closed wsgi.input")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _bytes(data: Any) -> Any:
    if not isinstance(data, bytes):
        got = f"wsgi.input gave {type(data).__name__} instead of bytes"
        raise SpecError("wsgi-environ-input", got)
    return data


class Errors:
    """`wsgi.errors`, checked; other attributes are those of the stream."""

    __slots__ = ("_breach", "_stream")

    def __init__(self, stream: Any, breach: Breach) -> None:
        self._stream = stream
        self._breach = breach

    def write(self, text: Any) -> Any:
        """See `io.TextIOBase.write`."""
        if not isinstance(text, str):
            got = f"the application wrote {type(text).__name__} to wsgi.errors"
            raise self._breach("wsgi-errors-str", got)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """See `io.IOBase.writelines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """See `io.IOBase.flush`."""
        self._stream.flush()

    def close(self) -> None:
        """Raise SpecError."""
        raise self._breach("wsgi-errors-close", "the application closed wsgi.errors")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
