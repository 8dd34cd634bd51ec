"""Flags of gunicorn and uvicorn that are spelled differently here, or that mean nothing here.

What lives here: two tables. A flag of SAME works as a hidden alias of our option; one of ANSWERS
ends the command with a sentence that names what to use. docs/migrating.md is made of both. Flags
that are the same everywhere are in neither. What must not: options of our own (settings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Same:
    """A flag that stands for `option`; with `value`, a switch that stands for that value."""

    option: str
    value: str | None = None
    convert: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Answer:
    """A flag that is answered by a sentence."""

    text: str
    switch: bool = False


SAME: dict[str, Same] = {
    "--no-access-log": Same("access_log", "off"),
    "--access-logfile": Same("access_log"),
    "--access-logformat": Same("access_log_format"),
    "--chdir": Same("app_dir"),
    "--graceful-timeout": Same("timeout_graceful_shutdown"),
    "--keep-alive": Same("timeout_keep_alive"),
    "--limit-max-requests": Same("max_requests"),
    "--limit-max-requests-jitter": Same("max_requests_jitter"),
    "--limit-request-fields": Same("limit_headers"),
    "--loglevel": Same("log_level"),
    "--preload-app": Same("preload", "yes"),
    "--reuse-port": Same("reuse_port", "yes"),
    "--certfile": Same("ssl_certfile"),
    "--keyfile": Same("ssl_keyfile"),
    "--ca-certs": Same("ssl_ca_certs"),
    "--cert-reqs": Same("ssl_cert_reqs"),
    "--ciphers": Same("ssl_ciphers"),
    "--uds": Same("bind", convert=lambda path: f"unix:{path}"),
    "--fd": Same("bind", convert=lambda number: f"fd://{number}"),
}
ANSWERS: dict[str, Answer] = {
    "-k": Answer(
        "there are no worker classes; WSGI and ASGI are told apart by themselves, "
        "or by --wsgi and --asgi"
    ),
    "--worker-class": Answer(
        "there are no worker classes; WSGI and ASGI are told apart by themselves, "
        "or by --wsgi and --asgi"
    ),
    "-t": Answer(
        "use --timeout-worker for a worker that hangs, --timeout-boot for one that starts"
    ),
    "--timeout": Answer(
        "use --timeout-worker for a worker that hangs, --timeout-boot for one that starts"
    ),
    "--worker-connections": Answer("use --limit-concurrency"),
    "--http": Answer("use --parser auto|python|httptools"),
    "--limit-request-field_size": Answer("use --limit-header-size, for all the headers together"),
    "--h11-max-incomplete-event-size": Answer("use --limit-header-size"),
    "--error-logfile": Answer("messages go to standard error; redirect that"),
    "--log-file": Answer("messages go to standard error; redirect that"),
    "--proxy-allow-from": Answer(
        "use --forwarded-allow-ips, which names the proxies, and --proxy-protocol without a value"
    ),
    "--proxy-headers": Answer("use --forwarded-allow-ips, which names the proxies", switch=True),
    "--no-proxy-headers": Answer(
        "no proxy is trusted unless --forwarded-allow-ips names it", switch=True
    ),
    "--use-colors": Answer("set FORCE_COLOR=1 or NO_COLOR=1 in the environment", switch=True),
    "--no-use-colors": Answer("set NO_COLOR=1 in the environment", switch=True),
    "--no-server-header": Answer("there is no Server header to leave out", switch=True),
    "--ws-per-message-deflate": Answer("use --ws-compression or --no-ws-compression"),
    "--daemon": Answer("let systemd or a container run it in the background", switch=True),
    "-D": Answer("let systemd or a container run it in the background", switch=True),
    "--ssl-version": Answer("use --ssl-min-version 1.2 or 1.3"),
    "--do-handshake-on-connect": Answer("a handshake never holds up others here", switch=True),
    "--suppress-ragged-eofs": Answer("they are always suppressed", switch=True),
}
