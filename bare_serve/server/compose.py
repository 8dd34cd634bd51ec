"""From settings to what lower floors take of them: `ServeOptions`, `Policy`, `TlsOptions`.

What lives here: composing records that lower floors declare. What must not: reading settings
(config/sources.py), starting anything (server/run.py). The access log is opened here, in the
master, so that its file is there, or is refused, before the first worker is.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bare_serve.config.settings import BY_NAME, Settings
from bare_serve.errors import UsageError
from bare_serve.http1 import Limits, Timeouts, select_parser
from bare_serve.logs import error_log
from bare_serve.logs.access_atoms import NAMED, template_format
from bare_serve.logs.access_format import Format, json_format, text_format
from bare_serve.logs.access_log import AccessLog
from bare_serve.logs.sinks import (
    SYSLOG,
    FileSink,
    SyslogSink,
    check_writable,
    log_path,
    parse_syslog,
)
from bare_serve.net.forwarded import parse_trust
from bare_serve.supervision import Policy
from bare_serve.system.privileges import Identity
from bare_serve.tls import TlsOptions
from bare_serve.websocket import WebSocketOptions
from bare_serve.workers.options import ServeOptions

Opened = TypeVar("Opened")

TLS_SETTINGS = tuple(name for name in BY_NAME if name.startswith("ssl_"))
"""Those that say how TLS is to be spoken."""


def serve_options(chosen: Settings) -> ServeOptions:
    """Compose the slice of the settings that a worker needs, and open its access log."""
    return worker_options(chosen)._replace(access_log=_access_log(chosen))


def worker_options(chosen: Settings) -> ServeOptions:
    """The same without the access log: opens nothing.

    Raises:
        UsageError: settings that make no sense together.
    """
    trust = parse_trust(chosen.forwarded_allow_ips, chosen.forwarded_headers)
    if chosen.proxy_protocol and trust is None:
        raise UsageError(
            "--proxy-protocol needs --forwarded-allow-ips, which names the proxies to be believed"
        )
    return ServeOptions(
        parser=chosen.parser,
        limits=Limits(
            request_line=chosen.limit_request_line,
            headers=chosen.limit_headers,
            header_size=chosen.limit_header_size,
            body=chosen.limit_body,
        ),
        timeouts=Timeouts(
            headers=chosen.timeout_headers,
            body=chosen.timeout_body,
            write=chosen.timeout_write,
            keep_alive=chosen.timeout_keep_alive,
        ),
        root_path=chosen.root_path,
        trust=trust,
        introducers=trust if chosen.proxy_protocol else None,
        headers=chosen.header,
        graceful_shutdown=chosen.timeout_graceful_shutdown,
        multiprocess=chosen.workers > 1,
        threads=chosen.threads,
        websocket=_websocket(chosen),
        wsgi_buffer_chunked=chosen.wsgi_buffer_chunked,
        timeout_request=chosen.timeout_request,
        limit_concurrency=chosen.limit_concurrency,
        warn_blocked=chosen.warn_blocked,
        loop=chosen.loop,
        lifespan=chosen.lifespan,
    )


def policy(chosen: Settings) -> Policy:
    """Compose the slice of the settings that the master needs."""
    return Policy(
        workers=chosen.workers,
        timeout_boot=chosen.timeout_boot,
        timeout_graceful_shutdown=chosen.timeout_graceful_shutdown,
        timeout_worker=chosen.timeout_worker,
        max_requests=chosen.max_requests,
        max_requests_jitter=chosen.max_requests_jitter,
        max_memory=chosen.max_memory,
        max_lifetime=chosen.max_lifetime,
        preload=chosen.preload,
    )


def tls_options(chosen: Settings) -> TlsOptions | None:
    """What TLS is to be like; None for none."""
    if chosen.ssl_certfile is None:
        return None
    return TlsOptions(
        certfile=_absolute(chosen.ssl_certfile),
        keyfile=_absolute(chosen.ssl_keyfile),
        password=chosen.ssl_keyfile_password or "",
        ca_certs=_absolute(chosen.ssl_ca_certs),
        cert_reqs=chosen.ssl_cert_reqs,
        min_version=chosen.ssl_min_version,
        ciphers=chosen.ssl_ciphers or "",
    )


def _absolute(path: str | None) -> str:
    # Symbolic links are left as they are: a renewal may put others in their place.
    return os.path.abspath(path) if path else ""  # noqa: PTH100


def check_installed(chosen: Settings) -> None:
    """Refuse what cannot work in any worker before there is one."""
    select_parser(chosen.parser)
    if chosen.loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise UsageError(
            "--loop uvloop: uvloop is not installed; run `pip install uvloop`, "
            "or use --loop asyncio"
        )


def _websocket(chosen: Settings) -> WebSocketOptions | None:
    """How WebSockets are spoken; None if not at all."""
    if chosen.ws == "off":
        return None
    return WebSocketOptions(
        engine=chosen.ws,
        max_size=chosen.ws_max_size,
        ping_interval=chosen.ws_ping_interval,
        ping_timeout=chosen.ws_ping_timeout,
        compression=chosen.ws_compression,
    )


def _access_log(chosen: Settings) -> AccessLog | None:
    """The access log as it is wanted, open; None for no log."""
    place = chosen.access_log
    if place == "off":
        return None
    made = _access_format(chosen)
    if place == "-":
        return AccessLog(_standard_output() if chosen.capture_output else 1, made)
    if place.startswith(SYSLOG):
        return AccessLog(SyslogSink(parse_syslog(place)), made)
    return AccessLog(_at(place, "--access-log", FileSink.at), made)


def _access_format(chosen: Settings) -> Format:
    redact = chosen.access_log_redact
    if chosen.access_log_format != "text":
        template = NAMED.get(chosen.access_log_format, chosen.access_log_format)
        return template_format(template, redact)
    if chosen.log_format == "json":
        return json_format(redact)
    colour = chosen.access_log == "-" and error_log.wants_colour(sys.stdout)
    return text_format(colour=colour, redact=redact)


def _at(place: str, flag: str, open_it: Callable[[str], Opened]) -> Opened:
    path = log_path(place, flag)
    try:
        return open_it(path)
    except OSError as error:
        raise UsageError(f"{flag}: cannot write to {path}: {error.strerror}") from None


@functools.cache
def _standard_output() -> int:
    """Captured, descriptor 1 becomes the error log; the access log keeps what it was by this one.

    One for the life of the process, or each reload would leave another behind.
    """
    return os.dup(1)


def set_up_logging(chosen: Settings) -> None:
    """Set up where messages go.

    Raises:
        UsageError: a file cannot be written to, or --log-config is not what it should be.
    """
    _log_config(chosen, error_log.configure_logging)
    set_up = functools.partial(
        error_log.set_up_logging, chosen.log_level, json=chosen.log_format == "json"
    )
    if chosen.error_log == "-":
        set_up()
    else:
        _at(chosen.error_log, "--error-log", lambda path: set_up(path=path))
    error_log.revive_logging()


def give_logs(identity: Identity | None, options: ServeOptions) -> None:
    """Let the user that workers become open the log files again."""
    if identity is None:
        return
    error_log.give_error_log_to(identity.uid, identity.gid)
    if options.access_log is not None:
        options.access_log.give_to(identity.uid, identity.gid)


def check_logs(chosen: Settings) -> None:
    """Look at what `set_up_logging` and `serve_options` would open, and leave no trace.

    Raises:
        UsageError: as they would; but what --log-config means is not tried out.
    """
    _log_config(chosen, lambda config: None)
    if chosen.error_log != "-":
        _at(chosen.error_log, "--error-log", check_writable)
    place = chosen.access_log
    if place == "off":
        return
    _access_format(chosen)
    if place.startswith(SYSLOG):
        SyslogSink(parse_syslog(place)).close()
    elif place != "-":
        _at(place, "--access-log", check_writable)


def _log_config(chosen: Settings, use: Callable[[dict[str, Any]], None]) -> None:
    if chosen.log_config is None:
        return
    path = Path(chosen.log_config).resolve()
    try:
        text = path.read_text(encoding="utf-8")
        config = _toml(text) if path.suffix == ".toml" else json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("it is not an object")
    except OSError as error:
        raise UsageError(f"--log-config: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        form = "TOML" if path.suffix == ".toml" else "JSON (or TOML, if its name ends in .toml)"
        raise UsageError(f"--log-config: {path} has to be {form}: {error}") from None
    try:
        use(config)
    except ValueError as error:
        raise UsageError(f"--log-config: {path}: {error}") from None


def _toml(text: str) -> object:
    import tomllib  # 4 ms of each start that few need

    return tomllib.loads(text)
