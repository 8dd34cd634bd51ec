"""The environ of a request (PEP 3333, "environ Variables").

What lives here: head and addresses in, a dictionary out. What must not: sockets, bodies, the call.

A header becomes `HTTP_NAME` only if its name has no underscore: `X_Forwarded_For` and
`X-Forwarded-For` would be one key, and a proxy that cleans the second lets the first pass.
`Proxy` never becomes `HTTP_PROXY` (httpoxy). The framing fields are the server's: after
de-chunking there is no Transfer-Encoding left to speak of.

HOT PATH: a header pair repeats, so its key and text are remembered; see http1/parser_python.py.
Benchmark: `python -m benchmarks.core`, case "environ of 14 headers".
"""

from __future__ import annotations

import logging
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from bare_serve.http import Field, RequestHead

Environ = dict[str, Any]

MEMO_ENTRIES = 4096
MEMO_PAIR_BYTES = 256

_NO_KEY = ("", "")
_DROPPED = frozenset((b"proxy", b"transfer-encoding", b"content-length"))
_NEVER_REMEMBERED = frozenset((b"cookie", b"authorization", b"proxy-authorization"))

_memo: dict[Field, tuple[str, str]] = {}
logger = logging.getLogger("bare_serve.wsgi")
_reported = False


class ErrorStream:
    """`wsgi.errors`: whatever `sys.stderr` is at the moment, so a redirection is honoured."""

    def write(self, text: str) -> int:
        """See `io.TextIOBase.write`."""
        return sys.stderr.write(text)

    def writelines(self, lines: list[str]) -> None:
        """See `io.IOBase.writelines`."""
        sys.stderr.writelines(lines)

    def flush(self) -> None:
        """See `io.IOBase.flush`."""
        sys.stderr.flush()


_ERRORS = ErrorStream()


def server_environ(*, multithread: bool, multiprocess: bool, file_wrapper: type) -> Environ:
    """Return what is the same for every request of a worker."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": _ERRORS,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": file_wrapper,
        "SERVER_SOFTWARE": "bare-serve",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SCRIPT_NAME": "",
    }


def connection_environ(
    base: Environ, local: tuple[str, int] | None, peer: tuple[str, int] | None
) -> Environ:
    """Return `base` with the two ends of a connection; None stands for a unix socket.

    A unix socket has no name or port of its own, and PEP 3333 wants both to be there: the
    application should build addresses from HTTP_HOST, as the PEP says.
    """
    environ = base.copy()
    environ["SERVER_NAME"], port = local or ("localhost", 80)
    environ["SERVER_PORT"] = str(port)
    environ["REMOTE_ADDR"] = peer[0] if peer else ""
    environ["REMOTE_PORT"] = str(peer[1]) if peer else ""
    return environ


def request_environ(base: Environ, head: RequestHead, root_path: str) -> Environ:
    """Return `base` with all that `head` says; only `wsgi.input` is missing."""
    environ = base.copy()
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if head.version == "1.1" else f"HTTP/{head.version}"
    if root_path:
        environ["SCRIPT_NAME"] = root_path.rstrip("/").encode("utf-8").decode("latin-1")
    retarget(environ, head)
    if head.content_length is not None:
        environ["CONTENT_LENGTH"] = str(head.content_length)
    remembered = _memo.get
    for field in head.headers:
        key, value = remembered(field) or _variable(field)
        if key not in environ:
            environ[key] = value
        elif key:
            # RFC 9110, 5.3 joins repeated fields by commas; cookies by "; " (RFC 6265, 5.4).
            separator = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{separator}{value}"
    environ.pop("", None)
    return environ


def retarget(environ: Environ, head: RequestHead) -> None:
    """Put the method and the target of `head` into an environ, whose fields may be another head's.

    PATH_INFO is the path below SCRIPT_NAME, whether a proxy has cut that off or not.
    Case "environ of 14 headers, path varies": all that is done for another path of the same client.
    """
    environ["REQUEST_METHOD"] = head.method
    environ["QUERY_STRING"] = head.query.decode("latin-1")
    environ["RAW_URI"] = environ["REQUEST_URI"] = head.target.decode("latin-1")
    raw_path = head.raw_path
    if b"%" in raw_path:
        raw_path = unquote_to_bytes(raw_path)
    # "*" is no path (RFC 9112, 3.2.4), and PATH_INFO is one or empty (RFC 3875, 4.1.5).
    path = raw_path.decode("latin-1") if raw_path != b"*" else ""
    root: str = environ["SCRIPT_NAME"]
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    environ["PATH_INFO"] = path


def _variable(field: Field) -> tuple[str, str]:
    """Return key and text for a header; an empty key for one that stays outside."""
    name, value = field
    if name in _DROPPED:
        pair = _NO_KEY
    elif b"_" in name:
        _report(name)
        pair = _NO_KEY
    else:
        key = name.decode("ascii").upper().replace("-", "_")
        pair = (key if key == "CONTENT_TYPE" else f"HTTP_{key}", value.decode("latin-1"))
    if len(name) + len(value) < MEMO_PAIR_BYTES and name not in _NEVER_REMEMBERED:
        if len(_memo) >= MEMO_ENTRIES:
            _memo.clear()
        _memo[field] = pair
    return pair


def _report(name: bytes) -> None:
    """Once per process: a client can send as many such names as it likes."""
    global _reported
    if not _reported:
        _reported = True
        logger.debug("Headers with an underscore are not passed on, the first was %r.", name)
