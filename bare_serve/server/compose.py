"""From settings to what lower floors take of them: `ServeOptions`, `Policy`, `TlsOptions`.

What lives here: composing records that lower floors declare. What must not: reading settings
(config/sources.py), opening logs (server/logs.py), starting anything (server/run.py).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from bare_serve.config.settings import BY_NAME, OPTIONS, Settings
from bare_serve.config.shown import shown
from bare_serve.config.static import GROUP
from bare_serve.errors import UsageError
from bare_serve.http import Limits, Timeouts
from bare_serve.http1 import select_parser
from bare_serve.logs import console
from bare_serve.net.forwarded import parse_trust
from bare_serve.server.logs import open_access_log
from bare_serve.supervision import Policy
from bare_serve.tls import TlsOptions
from bare_serve.websocket import WebSocketOptions
from bare_serve.workers.options import ServeOptions

if TYPE_CHECKING:
    from bare_serve.xray.options import XrayOptions

TLS_SETTINGS = tuple(name for name in BY_NAME if name.startswith("ssl_"))
"""Those that say how TLS is to be spoken."""
OPS_SETTINGS = tuple(name for name in BY_NAME if name.startswith("ops_"))
"""Those that say whom the ops process answers."""


def serve_options(settings: Settings) -> ServeOptions:
    """Compose the slice of the settings that a worker needs, and open its access log."""
    return worker_options(settings)._replace(access_log=open_access_log(settings))


def worker_options(settings: Settings) -> ServeOptions:
    """Return a worker's options without the access log; open nothing.

    Raises:
        UsageError: settings that make no sense together.
    """
    trust = parse_trust(settings.forwarded_allow_ips, settings.forwarded_headers)
    if settings.proxy_protocol and trust is None:
        raise UsageError(
            "--proxy-protocol needs --forwarded-allow-ips, which names the proxies to be believed"
        )
    return ServeOptions(
        parser=settings.parser,
        limits=Limits(
            request_line=settings.limit_request_line,
            headers=settings.limit_headers,
            header_size=settings.limit_header_size,
            body=settings.limit_body,
        ),
        timeouts=Timeouts(
            headers=settings.timeout_headers,
            body=settings.timeout_body,
            write=settings.timeout_write,
            keep_alive=settings.timeout_keep_alive,
        ),
        root_path=settings.root_path,
        trust=trust,
        proxy_protocol_peers=trust if settings.proxy_protocol else None,
        headers=settings.header,
        counts=settings.counts,
        multiprocess=settings.workers > 1,
        threads=settings.threads,
        websocket=_websocket(settings),
        wsgi_buffer_chunked=settings.wsgi_buffer_chunked,
        timeout_request=settings.timeout_request,
        limit_concurrency=settings.limit_concurrency,
        limit_connections=settings.limit_connections,
        limit_spool=settings.limit_spool,
        warn_blocked=settings.warn_blocked,
        log_slow=settings.log_slow,
        loop=settings.loop,
        lifespan=settings.lifespan,
        xray=_xray(settings),
    )


def _xray(settings: Settings) -> XrayOptions | None:
    """Return what an x-ray shows; None for none, and nothing of it is imported."""
    prints = settings.xray != "off"
    page = settings.reload and settings.error_page
    if not (prints or settings.demo or page):
        return None
    own = import_module("bare_serve.dev.live").OWN if settings.reload else ""
    made: XrayOptions = import_module("bare_serve.xray.options").XrayOptions(
        pattern=settings.xray_filter or "",
        full=settings.xray == "full",
        bodies=settings.xray_bodies,
        prints=prints,
        in_call=settings.demo or page,
        silent=not (prints or settings.demo),
        without=own,
        colour=prints and console.wants_colour(sys.stderr),
        arrows=prints and console.is_unicode_terminal(sys.stderr),
    )
    return made


def policy(settings: Settings) -> Policy:
    """Compose the slice of the settings that the master needs."""
    return Policy(
        workers=settings.workers,
        timeout_boot=settings.timeout_boot,
        timeout_graceful_shutdown=settings.timeout_graceful_shutdown,
        drain_delay=settings.drain_delay,
        timeout_worker=settings.timeout_worker,
        max_requests=settings.max_requests,
        max_requests_jitter=settings.max_requests_jitter,
        max_memory=settings.max_memory,
        max_lifetime=settings.max_lifetime,
        counts=settings.counts,
        preload=settings.preload,
    )


def tls_options(settings: Settings) -> TlsOptions | None:
    """Return the settings of TLS; None for no TLS."""
    if settings.ssl_certfile is None:
        return None
    return TlsOptions(
        certfile=_absolute(settings.ssl_certfile),
        keyfile=_absolute(settings.ssl_keyfile),
        password=settings.ssl_keyfile_password or "",
        ca_certs=_absolute(settings.ssl_ca_certs),
        cert_reqs=settings.ssl_cert_reqs,
        min_version=settings.ssl_min_version,
        ciphers=settings.ssl_ciphers or "",
    )


def _absolute(path: str | None) -> str:
    # Symbolic links are left as they are: a renewal may put others in their place.
    return os.path.abspath(path) if path else ""  # noqa: PTH100


def check_installed(settings: Settings) -> None:
    """Refuse what cannot work in any worker before there is one."""
    select_parser(settings.parser)
    if settings.loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise UsageError(
            "--loop uvloop: uvloop is not installed; run `pip install uvloop`, "
            "or use --loop asyncio"
        )


def check_middleware(settings: Settings) -> None:
    """Refuse a middleware that there is not, and values that it does not take."""
    if settings.middleware:
        import_module("bare_serve.server.middleware").check(settings)


def middleware_row(settings: Settings) -> list[tuple[str, str]]:
    """Return the line of the banner that names middleware; values may be secret."""
    names = [named.name for named in settings.middleware]
    return [("middleware", ", ".join(names))] if names else []


def check_static(settings: Settings) -> None:
    """Refuse files that cannot be served, before there is a worker; and options without any."""
    if settings.static:
        import_module("bare_serve.server.static").check_static(settings)
        return
    for option in OPTIONS:
        if option.group == GROUP and getattr(settings, option.name) != option.default:
            raise UsageError(f"{option.flag} is about static files; give --static, too")


def static_row(settings: Settings) -> list[tuple[str, str]]:
    """Return the line of the banner that names directories of files."""
    return [("static", shown(BY_NAME["static"], settings.static))] if settings.static else []


def check_operations(settings: Settings) -> None:
    """Refuse settings of the ops process and of a stop that make no sense together."""
    if settings.ops is None:
        for name in OPS_SETTINGS:
            if getattr(settings, name) != BY_NAME[name].default:
                raise UsageError(f"{BY_NAME[name].flag} is about the ops process; give --ops, too")
    for name in ("ops", "drain_delay"):
        if settings.workers == 0 and getattr(settings, name):
            raise UsageError(
                f"{BY_NAME[name].flag} needs a master, and with --workers 0 there is none; "
                "use --workers 1"
            )


def check_development(settings: Settings) -> None:
    """Refuse settings of the development loop that make no sense together."""
    if not settings.reload:
        for name in ("reload_dir", "reload_include", "reload_exclude", "live"):
            if getattr(settings, name):
                raise UsageError(
                    f"{BY_NAME[name].flag} means nothing without --reload; give both, or --dev"
                )
    elif settings.workers == 0:
        raise UsageError(
            "--reload replaces workers, and with --workers 0 there is none to replace; use "
            "--workers 1, in which breakpoint() and pdb work as well"
        )


def _websocket(settings: Settings) -> WebSocketOptions | None:
    """Return how WebSockets are spoken; None if not at all."""
    if settings.ws == "off":
        return None
    return WebSocketOptions(
        engine=settings.ws,
        max_size=settings.ws_max_size,
        ping_interval=settings.ws_ping_interval,
        ping_timeout=settings.ws_ping_timeout,
        compression=settings.ws_compression,
    )
