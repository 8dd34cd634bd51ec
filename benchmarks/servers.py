"""The servers and how each is started: a table, and the command made from it.

Each peer is started the way its own documentation recommends for production, with its access log
off; where a choice was to be made, `why` says which and why. A `variant` is a row beside the
default one of its server, in scenarios about that difference. nginx is no peer (it runs no Python)
but the measure for sending files. `{...}` are filled in at launch. Nothing here starts a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interface = Literal["wsgi", "asgi", "file"]
OURS = "bare-serve"
_INTERFACES: tuple[Interface, ...] = ("wsgi", "asgi")


@dataclass(frozen=True, slots=True)
class Server:
    """One row of every table: a server in one configuration."""

    key: str
    peer: str  # the package it comes from
    interface: Interface
    command: tuple[str, ...]
    why: str
    tls: tuple[str, ...] | None = None  # options for {cert} and {key}; None: has no TLS
    most_workers: int = 64
    variant: str = ""  # what differs from its default configuration

    @property
    def label(self) -> str:
        """For people: its worker class is part of it, its interface is not."""
        name = self.key.partition(":")[0]
        return f"{name} ({self.variant})" if self.variant else name

    @property
    def ours(self) -> bool:
        return self.peer == OURS


@dataclass(frozen=True, slots=True)
class Launch:
    """What differs from one start to the next."""

    target: str
    port: int
    workers: int = 1
    cert: str = ""
    key: str = ""
    variables: tuple[tuple[str, str], ...] = ()  # of its environment


_GUNICORN = (
    *("{bin}/gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "{workers}"),
    *("--log-level", "warning"),
)
_GRANIAN = (
    *("{bin}/granian", "--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}"),
    *("--no-access-log", "--log-level", "warning", "--interface"),
)
_OURS = (
    *("{python}", "-m", "bare_serve", "{target}", "--bind", "127.0.0.1:{port}"),
    *("--workers", "{workers}"),
)
_GTHREAD = ("--worker-class", "gthread", "--threads", "8", "{target}")
_UVICORN = ("{bin}/uvicorn", "{target}", "--port", "{port}", "--workers", "{workers}")
_QUIET = ("--no-access-log", "--log-level", "warning")
_LOGGED = "access log"
_FASTPYSGI = ("{python}", "serve_fastpysgi.py", "{target}", "{port}", "{workers}")
_CERTFILE = ("--certfile", "{cert}", "--keyfile", "{key}")
_SSL_CERTFILE = ("--ssl-certfile", "{cert}", "--ssl-keyfile", "{key}")
_GRANIAN_TLS = ("--ssl-certificate", "{cert}", "--ssl-keyfile", "{key}")


def _ours(interface: Interface, variant: str = "", *options: str) -> Server:
    key = f"{OURS}:{interface}" + (f":{variant.replace(' ', '-')}" if variant else "")
    log = () if variant == _LOGGED else ("--no-access-log",)
    command = (*_OURS, *log, f"--{interface}", *options)
    why = f"with {' '.join(options)}" if options else "as it comes"
    return Server(key, OURS, interface, command, why, _SSL_CERTFILE, variant=variant)


SERVERS: tuple[Server, ...] = (
    _ours("wsgi"),
    _ours("wsgi", "httptools", "--parser", "httptools"),
    _ours("wsgi", "1 thread", "--threads", "1"),
    _ours("wsgi", _LOGGED, "--access-log", "-"),
    Server(
        "bare-serve:wsgi:ungated",
        OURS,
        "wsgi",
        ("{python}", "serve_ungated.py", *_OURS[3:], "--no-access-log", "--wsgi"),
        "without the gate before calls that compute",
        variant="ungated",
    ),
    Server(
        "gunicorn-gthread",
        "gunicorn",
        "wsgi",
        (*_GUNICORN, *_GTHREAD),
        "the threaded worker; its docs advise 2 to 4 threads a core, so 8 on two cores",
        _CERTFILE,
    ),
    Server(
        "gunicorn-sync",
        "gunicorn",
        "wsgi",
        (*_GUNICORN, "--worker-class", "sync", "{target}"),
        "the default worker; it closes every connection after one answer",
        _CERTFILE,
    ),
    Server(
        "granian:wsgi",
        "granian",
        "wsgi",
        (*_GRANIAN, "wsgi", "{target}"),
        "its docs advise to leave threads and back-pressure alone",
        _GRANIAN_TLS,
    ),
    Server(
        "waitress",
        "waitress",
        "wsgi",
        ("{bin}/waitress-serve", "--listen=127.0.0.1:{port}", "{target}"),
        "as it comes: 4 threads, at most 100 connections; it has no worker processes and no TLS",
        most_workers=1,
    ),
    Server(
        "fastpysgi:wsgi",
        "fastpysgi",
        "wsgi",
        _FASTPYSGI,
        "the C reference; as in its README",
    ),
    _ours("asgi"),
    _ours("asgi", "httptools", "--parser", "httptools"),
    _ours("asgi", "asyncio", "--loop", "asyncio"),
    _ours("asgi", _LOGGED, "--access-log", "-"),
    Server(
        "uvicorn",
        "uvicorn",
        "asgi",
        (*_UVICORN, *_QUIET),
        "uvicorn[standard]: it takes uvloop, httptools and websockets by itself",
        _SSL_CERTFILE,
    ),
    Server(
        "uvicorn:wsproto",
        "uvicorn",
        "asgi",
        (*_UVICORN, *_QUIET, "--ws", "wsproto"),
        "with its other implementation of WebSockets",
        _SSL_CERTFILE,
        variant="wsproto",
    ),
    Server(
        "uvicorn:access-log",
        "uvicorn",
        "asgi",
        _UVICORN,
        "with its access log, on standard output",
        _SSL_CERTFILE,
        variant=_LOGGED,
    ),
    Server(
        "gunicorn-asgi",
        "gunicorn",
        "asgi",
        (*_GUNICORN, "--worker-class", "asgi", "{target}"),
        "its native ASGI worker; it takes uvloop by itself",
        _CERTFILE,
    ),
    Server(
        "granian:asgi",
        "granian",
        "asgi",
        (*_GRANIAN, "asgi", "{target}"),
        "granian[uvloop]: it takes uvloop by itself",
        _GRANIAN_TLS,
    ),
    *(
        Server(
            f"granian:{interface}:wide",
            "granian",
            interface,
            (*_GRANIAN, interface, "--backpressure", "8192", "{target}"),
            "takes no more than about 1,000 connections otherwise",
            _GRANIAN_TLS,
            variant="backpressure 8192",
        )
        for interface in _INTERFACES
    ),
    Server(
        "hypercorn",
        "hypercorn",
        "asgi",
        (
            *("{bin}/hypercorn", "--worker-class", "uvloop", "--workers", "{workers}"),
            *("--bind", "127.0.0.1:{port}", "--log-level", "warning", "{target}"),
        ),
        "with its uvloop worker",
        _CERTFILE,
    ),
    Server(
        "fastpysgi:asgi",
        "fastpysgi",
        "asgi",
        _FASTPYSGI,
        "the C reference; as in its README",
    ),
    Server(
        "nginx",
        "nginx",
        "file",
        ("{python}", "serve_nginx.py", "{target}", "{port}", "{workers}"),
        "the reference for files: one worker process, sendfile and tcp_nopush on",
    ),
)

BY_KEY = {server.key: server for server in SERVERS}
PEERS = tuple(dict.fromkeys(server.peer for server in SERVERS if not server.ours))


def fill(server: Server, launch: Launch, binaries: str) -> list[str]:
    """Return the command line that starts the server."""
    words = server.command
    if launch.cert:
        if server.tls is None:
            raise ValueError(f"{server.key} has no TLS")
        words = (
            (*words[:-1], *server.tls, words[-1])
            if "{target}" in words[-1]
            else (*words, *server.tls)
        )
    values = {
        "bin": binaries,
        "python": f"{binaries}/python",
        "target": launch.target,
        "port": str(launch.port),
        "workers": str(launch.workers),
        "cert": launch.cert,
        "key": launch.key,
    }
    return [word.format_map(values) for word in words]


def shown(server: Server, launch: Launch) -> str:
    """Return the same for people: no path of this machine in it."""
    words = fill(server, Launch(launch.target, 8000, launch.workers), "bin")
    return " ".join(word.removeprefix("bin/") for word in words)
