"""Flags of gunicorn and uvicorn that are spelled differently here, or that mean nothing here.

What lives here: tables. A flag of SAME works as a hidden alias of our option; one of ANSWERS
ends the command with a sentence that names what to use. docs/migrating.md is made of both. Flags
that are the same everywhere are in neither. What must not: options of our own (config/settings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Same(NamedTuple):
    """A flag that stands for `option`; with `value`, a switch that stands for that value."""

    option: str
    value: str | None = None
    convert: Callable[[str], str] = str


class Answer(NamedTuple):
    """A flag that is answered by a sentence."""

    text: str
    switch: bool = False


SAME: dict[str, Same] = {
    "--no-access-log": Same("access_log", "off"),
    "--access-logfile": Same("access_log"),
    "--access-logformat": Same("access_log_format"),
    "--graceful-timeout": Same("timeout_graceful_shutdown"),
    "--keep-alive": Same("timeout_keep_alive"),
    "--asgi-lifespan": Same("lifespan"),
    "--asgi-loop": Same("loop"),
    "--error-logfile": Same("error_log"),
    "--log-file": Same("error_log"),
    "--log-config-json": Same("log_config"),
    "--http-parser": Same("parser", convert=lambda name: {"fast": "httptools"}.get(name, name)),
    "--timeout-worker-healthcheck": Same("timeout_worker"),
    "--websocket-max-message-size": Same("ws_max_size"),
    "-g": Same("group"),
    "-m": Same("umask"),
    "-p": Same("pid"),
    "-u": Same("user"),
    "--worker-connections": Same("limit_connections"),
    "--limit-max-requests": Same("max_requests"),
    "--limit-max-requests-jitter": Same("max_requests_jitter"),
    "--limit-request-fields": Same("limit_headers"),
    "--loglevel": Same("log_level"),
    "--preload-app": Same("preload", "yes"),
    "--reload-extra-file": Same("reload_include"),
    "--reuse-port": Same("reuse_port", "yes"),
    "--certfile": Same("ssl_certfile"),
    "--keyfile": Same("ssl_keyfile"),
    "--ca-certs": Same("ssl_ca_certs"),
    "--cert-reqs": Same("ssl_cert_reqs"),
    "--ciphers": Same("ssl_ciphers"),
    "--uds": Same("bind", convert=lambda path: f"unix:{path}"),
    "--fd": Same("bind", convert=lambda number: f"fd://{number}"),
}
# The values that others want behind what is a switch here; they would be taken for the application.
SWITCH_VALUES: dict[str, tuple[str, ...]] = {"--proxy-protocol": ("v1", "v2", "auto", "off")}
# A sentence, and the flags that it answers.
_VALUED: dict[str, tuple[str, ...]] = {
    "settings are keys of bare-serve.toml or of [tool.bare-serve], and functions go to --hooks": (
        "-c",
    ),
    "write a file of NAME=value lines and use --env-file": ("-e", "--env"),
    "use --app-dir": ("--pythonpath",),
    "change the directory before, by cd or WorkingDirectory= of systemd; --app-dir only says where "
    "the application is imported from": ("--chdir",),
    "headers such as SCRIPT_NAME are never taken for variables; a prefix comes by --root-path, or "
    "by X-Forwarded-Prefix from a proxy that --forwarded-allow-ips names": ("--forwarder-headers",),
    "serve the factory that loads it, with --factory": ("--paste", "--paster", "--paste-global"),
    "the queue of a listener is as long as net.core.somaxconn allows": ("--backlog",),
    "signs of life are in shared memory, not in files": ("--worker-tmp-dir",),
    "the process keeps its command line for a title": ("-n", "--name"),
    "use --log-format json or --log-config": ("--logger-class",),
    "use --access-log syslog://HOST:PORT, syslog:PATH or syslog:": ("--log-syslog-to",),
    "write it behind the address: --access-log 'syslog:?tag=NAME'": ("--log-syslog-prefix",),
    "write it behind the address: --access-log 'syslog:?facility=NAME'": ("--log-syslog-facility",),
    "there is no statsd; --ops has metrics for Prometheus": (
        *("--statsd-host", "--statsd-prefix", "--dogstatsd-tags"),
    ),
    "only HTTP/1.1 and WebSockets are spoken; put a proxy in front": (
        *("--protocol", "--uwsgi-allow-from", "--http-protocols", "--http2-cleartext"),
        *("--http2-max-concurrent-streams", "--http2-initial-window-size"),
        *("--http2-max-frame-size", "--http2-max-header-list-size"),
    ),
    "headers with underscores never stand for others": ("--header-map",),
    "an application is told at once when its client has left": ("--asgi-disconnect-grace-period",),
    "there are no dirty workers; use a task queue": (
        *("--dirty-app", "--dirty-workers", "--dirty-timeout", "--dirty-threads"),
        "--dirty-graceful-timeout",
    ),
    "use --ops unix:PATH --ops-control": ("--control-socket", "--control-socket-mode"),
    "an application that does not read holds its client back; see docs/websockets.md": (
        "--ws-max-queue",
    ),
    "the system tells of changes where it can, and files are looked at twice a second": (
        *("--reload-engine", "--reload-delay"),
    ),
}
_SWITCHES: dict[str, tuple[str, ...]] = {
    "use --check": ("--check-config",),
    "use --version": ("-v",),
    "run it with python -m trace": ("--spew",),
    "a file is sent by sendfile wherever that is possible": ("--no-sendfile",),
    "a user's supplementary groups come with --user": ("--initgroups",),
    "use --access-log syslog:": ("--log-syslog",),
    "the access log goes where --access-log says": ("--disable-redirect-access-to-syslog",),
    "standard descriptors are inherited; --capture-output sends them to the error log": (
        *("-R", "--enable-stdio-inheritance"),
    ),
    "--ops has metrics for Prometheus, the backlog among them": ("--enable-backlog-metric",),
    "it opens ways to smuggle requests, and is not to be had": (
        *("--permit-obsolete-folding", "--strip-header-spaces", "--casefold-http-method"),
        *("--permit-unconventional-http-method", "--permit-unconventional-http-version"),
    ),
    "there is none without --ops-control": ("--no-control-socket",),
    "only HTTP/1.1 and WebSockets are spoken; put a proxy in front": ("--http2",),
    "there is no Server header; add one with --header": ("--server-header",),
    "an answer always has a Date (RFC 9110 6.6.1)": ("--date-header", "--no-date-header"),
    "each request has context variables of its own": ("--reset-contextvars",),
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
    "--http": Answer("use --parser auto|python|httptools"),
    "--limit-request-field_size": Answer("use --limit-header-size, for all the headers together"),
    "--h11-max-incomplete-event-size": Answer("use --limit-header-size"),
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
for _texts, _switch in ((_VALUED, False), (_SWITCHES, True)):
    for _text, _flags in _texts.items():
        ANSWERS.update(dict.fromkeys(_flags, Answer(_text, _switch)))
