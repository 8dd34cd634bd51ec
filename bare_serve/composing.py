"""From settings to the slice of them that a worker gets: `ServeOptions`, and the open access log.

What lives here: composing records that lower floors declare. What must not: reading settings
(sources.py), starting anything (server.py). The access log is opened here, in the master, so that
its file is there, or is refused, before the first worker is.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

from bare_serve import output
from bare_serve.access_atoms import NAMED, template_format
from bare_serve.access_format import json_format, text_format
from bare_serve.access_log import AccessLog
from bare_serve.errors import UsageError
from bare_serve.forwarded import parse_trust
from bare_serve.http1 import Limits, Timeouts
from bare_serve.log_outputs import SYSLOG, FileSink, SyslogSink, log_path, parse_syslog
from bare_serve.settings import Settings
from bare_serve.tls import TlsOptions
from bare_serve.websocket import WebSocketOptions
from bare_serve.workers.lifecycle import ServeOptions


def serve_options(chosen: Settings) -> ServeOptions:
    """Compose the slice of the settings that a worker needs."""
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
        access_log=_access_log(chosen),
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
    place, redact = chosen.access_log, chosen.access_log_redact
    if place == "off":
        return None
    if chosen.access_log_format != "text":
        template = NAMED.get(chosen.access_log_format, chosen.access_log_format)
        made = template_format(template, redact)
    elif chosen.log_format == "json":
        made = json_format(redact)
    else:
        colour = place == "-" and output.wants_colour(sys.stdout)
        made = text_format(colour=colour, redact=redact)
    if place == "-":
        return AccessLog(_standard_output() if chosen.capture_output else 1, made)
    if place.startswith(SYSLOG):
        return AccessLog(SyslogSink(parse_syslog(place)), made)
    path = log_path(place, "--access-log")
    try:
        return AccessLog(FileSink.at(path), made)
    except OSError as error:
        raise UsageError(f"--access-log: cannot write to {path}: {error.strerror}") from None


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
    if chosen.log_config is not None:
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
            output.configure_logging(config)
        except ValueError as error:
            raise UsageError(f"--log-config: {path}: {error}") from None
    where = "" if chosen.error_log == "-" else log_path(chosen.error_log, "--error-log")
    try:
        output.set_up_logging(chosen.log_level, json=chosen.log_format == "json", path=where)
    except OSError as error:
        raise UsageError(f"--error-log: cannot write to {where}: {error.strerror}") from None
    output.revive_logging()


def _toml(text: str) -> object:
    import tomllib  # 4 ms of each start that few need

    return tomllib.loads(text)
