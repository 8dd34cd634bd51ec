"""From settings to what lower floors take of them: `ServeOptions`, `Policy`, `TlsOptions`.

What lives here: composing records that lower floors declare. What must not: reading settings
(config/sources.py), opening logs (server/logs.py), starting anything (server/run.py).
"""

from __future__ import annotations

import importlib.util
import os

from bare_serve.config.settings import BY_NAME, Settings
from bare_serve.errors import UsageError
from bare_serve.http1 import Limits, Timeouts, select_parser
from bare_serve.net.forwarded import parse_trust
from bare_serve.server.logs import open_access_log
from bare_serve.supervision import Policy
from bare_serve.tls import TlsOptions
from bare_serve.websocket import WebSocketOptions
from bare_serve.workers.options import ServeOptions

TLS_SETTINGS = tuple(name for name in BY_NAME if name.startswith("ssl_"))
"""Those that say how TLS is to be spoken."""


def serve_options(chosen: Settings) -> ServeOptions:
    """Compose the slice of the settings that a worker needs, and open its access log."""
    return worker_options(chosen)._replace(access_log=open_access_log(chosen))


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
        limit_connections=chosen.limit_connections,
        limit_spool=chosen.limit_spool,
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
