"""The environ of a request (PEP 3333, "environ Variables").

What lives here: head and addresses in, a dictionary out. What must not: sockets, bodies, the call.

A header becomes `HTTP_NAME` only if its name has no underscore: `X_Forwarded_For` and
`X-Forwarded-For` would be one key, and a proxy that cleans the second lets the first pass.
`Proxy` never becomes `HTTP_PROXY` (httpoxy). The framing fields are the server's: after
de-chunking there is no Transfer-Encoding left to speak of.

HOT PATH: a header pair repeats, so its key and text are remembered (http/memo.py), and those of
all pairs go into the environ by one call.
Benchmark: `python -m benchmarks.core`, case "environ of 14 headers".
"""

from __future__ import annotations

import logging
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from bare_serve.http import Field, RequestHead
from bare_serve.http.fields import repeats
from bare_serve.http.memo import Memo

Environ = dict[str, Any]

_NO_KEY = ("", "")
_DROPPED = frozenset((b"proxy", b"transfer-encoding", b"content-length"))
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
    return client_environ(listener_environ(base, local), peer)


def listener_environ(base: Environ, local: tuple[str, int] | None) -> Environ:
    """Return `base` with our end; None stands for a unix socket."""
    environ = base.copy()
    environ["SERVER_NAME"], port = local or ("localhost", 80)
    environ["SERVER_PORT"] = str(port)
    return environ


def client_environ(base: Environ, peer: tuple[str, int] | None) -> Environ:
    """Return `base` with the client's end; None stands for a unix socket."""
    environ = base.copy()
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
    headers = head.headers
    size = len(environ) + len(headers)
    environ.update(map(_memo.__getitem__, headers))
    if len(environ) != size:  # a key has come twice: mostly the one of fields that stay outside
        environ.update(_joined(headers))
    environ.pop("", None)
    return environ


def _joined(headers: list[Field]) -> dict[str, str]:
    """Return the variables of fields some of which have the same key."""
    variables: dict[str, str] = {}
    for key, value in map(_memo.__getitem__, headers):
        if key in variables:
            # RFC 9110, 5.3 joins repeated fields by commas; cookies by "; " (RFC 6265, 5.4).
            separator = "; " if key == "HTTP_COOKIE" else ","
            value = f"{variables[key]}{separator}{value}"
        variables[key] = value
    return variables


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
    key = _keys[name]
    return (key, value.decode("latin-1")) if key else _NO_KEY


def _key(name: bytes) -> str:
    if name in _DROPPED:
        return ""
    if b"_" in name:
        _report(name)
        return ""
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key == "CONTENT_TYPE" else f"HTTP_{key}"


# Of a field that is not kept, as of a cookie, its name is.
_keys: Memo[bytes, str] = Memo(_key, lambda name, _: len(name) < 64, 1024)


def new_memo(most: int = 4096) -> Memo[Field, tuple[str, str]]:
    """Return a memo of the variables of fields."""
    return Memo(_variable, lambda field, _: repeats(*field), most)


_memo = new_memo()


def _report(name: bytes) -> None:
    """Once per process: a client can send as many such names as it likes."""
    global _reported
    if not _reported:
        _reported = True
        logger.debug("Headers with an underscore are not passed on, the first was %r.", name)
