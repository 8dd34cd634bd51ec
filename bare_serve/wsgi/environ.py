"""The environ of a request (PEP 3333, "environ Variables").

What lives here: head and addresses in, a dictionary out. What must not: sockets, bodies, the call.

A header becomes `HTTP_NAME` only if its name has no underscore: `X_Forwarded_For` and
`X-Forwarded-For` would be one key, and a proxy that cleans the second lets the first pass.
`Proxy` never becomes `HTTP_PROXY` (httpoxy). The framing fields are the server's: after
de-chunking there is no Transfer-Encoding left to speak of.

HOT PATH: a header pair repeats, so its key and text are remembered (http/memo.py).
Benchmark: `python -m benchmarks.core`, case "environ of 14 headers".
"""

from __future__ import annotations

import logging
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from bare_serve.http import Field, RequestHead
from bare_serve.http.fields import NAME_BYTES, REPEATS_BYTES, harmless
from bare_serve.http.memo import Memo, Remembered

Environ = dict[str, Any]

_OF_A_CONNECTION = ("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT")
_OF_A_REQUEST = ("REQUEST_METHOD", "QUERY_STRING", "RAW_URI", "REQUEST_URI", "PATH_INFO")
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
    """Return what is the same for every request of a worker, and a place for what is not.

    The keys that each request has are all here, so that a copy has room for fields: a dictionary
    that grows is made anew. Case "environ of hello": 0.2 us of 1.2.
    """
    same = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": _ERRORS,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": file_wrapper,
        "wsgi.input": None,  # to be set for each request
        "SERVER_SOFTWARE": "bare-serve",
        "SERVER_PROTOCOL": "HTTP/1.1",  # of most requests
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SCRIPT_NAME": "",
    }
    return same | dict.fromkeys(_OF_A_CONNECTION + _OF_A_REQUEST, "")


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
    """Return `base` with all that `head` says; only `wsgi.input` is still to be set."""
    environ = base.copy()
    if head.version != "1.1":
        environ["SERVER_PROTOCOL"] = f"HTTP/{head.version}"
    if root_path:
        environ["SCRIPT_NAME"] = root_path.rstrip("/").encode("utf-8").decode("latin-1")
    retarget(environ, head)
    if head.content_length is not None:
        environ["CONTENT_LENGTH"] = str(head.content_length)
    for field in head.headers:
        key, value = _remembered(field) or _read(field)
        environ[key] = value
    if head.repeats:
        environ.update(_joined(head.headers))
    environ.pop("", None)
    return environ


def _joined(headers: list[Field]) -> dict[str, str]:
    """Return the variables of fields some of which have the same key."""
    variables: dict[str, str] = {}
    for field in headers:
        key, value = _remembered(field) or _read(field)
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


def change_fields(environ: Environ, fields: list[Field]) -> None:
    """Put the fields in which two heads differ into the environ of the other one."""
    for name, value in fields:
        if key := _keys[name][0]:
            environ[key] = value.decode("latin-1")


def _key(name: bytes) -> tuple[str, bool]:
    """Return the key for a name, and whether its fields may be remembered."""
    repeats = harmless(name)
    if name in _DROPPED:
        return "", repeats
    if b"_" in name:
        _report(name)
        return "", repeats
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key == "CONTENT_TYPE" else f"HTTP_{key}", repeats


# Of a field that is not kept, as of a cookie, its name is.
_keys: Memo[bytes, tuple[str, bool]] = Memo(_key, lambda name: len(name) < NAME_BYTES, 1024)


class _Variables(Remembered[Field, tuple[str, str]]):
    """Key and text for a field; an empty key for one that stays outside."""

    __slots__ = ()

    def read(self, field: Field) -> tuple[str, str]:
        """Return the variable of `field`, which `get` does not give; remember one that repeats."""
        name, value = field
        key, repeats = _keys[name]
        variable = (key, value.decode("latin-1")) if key else _NO_KEY
        if repeats and len(name) + len(value) < REPEATS_BYTES:
            if len(self) >= self.most:
                self.clear()
            self[field] = variable
        return variable


_variables = _Variables()
_remembered = _variables.get
_read = _variables.read


def _report(name: bytes) -> None:
    """Once per process: a client can send as many such names as it likes."""
    global _reported
    if not _reported:
        _reported = True
        logger.debug("Headers with an underscore are not passed on, the first was %r.", name)
