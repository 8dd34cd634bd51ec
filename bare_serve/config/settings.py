"""Every option once, and the one record that holds what they came to.

The fields of Settings are the table: each carries its kind, help text and names, and from it
come the command line's options, the environment's variables, the keys of the file and
--print-config. Some groups are in files of their own, the bases of Settings. What one line of the
table holds is in options.py, where values come from in sources.py, how they are shown in shown.py.

Nothing is bound, imported or printed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from bare_serve.config import kinds
from bare_serve.config.development import DevelopmentSettings
from bare_serve.config.logging import LoggingSettings
from bare_serve.config.middleware import MiddlewareSettings
from bare_serve.config.operations import OperationsSettings
from bare_serve.config.options import Option, option, option_of
from bare_serve.config.static import StaticSettings
from bare_serve.net.bind_address import with_port
from bare_serve.net.forwarded import FIELDS

_TIMEOUT = kinds.duration()
FORWARDED_HEADERS = tuple(name.decode("ascii") for name in FIELDS)
_LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # 1 ms less at each start
class Settings(
    LoggingSettings, MiddlewareSettings, StaticSettings, DevelopmentSettings, OperationsSettings
):
    """What is to be served, and how; complete, checked and never changed."""

    app: str | None = option(
        None,
        "Target",
        kinds.TEXT,
        "The application: module:attribute, module, path/to/file.py:attribute, or a factory with "
        "literals as arguments, \"module:create_app('prod', debug=True)\".",
    )
    interface: str = option(
        "auto",
        "Target",
        kinds.choice("auto", "asgi", "asgi2", "wsgi"),
        "Which kind of application it is, if detection is not to decide.",
    )
    factory: bool = option(
        False,
        "Target",
        kinds.SWITCH,
        "The target is a function without arguments that returns the application.",
    )
    app_dir: Path = option(  # noqa: RUF009 (Path is immutable)
        Path(), "Target", kinds.DIRECTORY, "Where the application is looked for and imported from."
    )
    demo: bool = option(
        False,
        "Target",
        kinds.SWITCH,
        "Serve the built-in application, which shows what it receives.",
    )
    bind: tuple[str, ...] = option(
        (),
        "Network",
        kinds.several(kinds.PLACE, r"[,\s]+"),
        "Where to listen: HOST:PORT, HOST (with --port), :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME "
        "or fd://N; repeatable. With tls: in front it speaks TLS, redirect: sends to https.",
        short="-b",
    )
    host: str = option("127.0.0.1", "Network", kinds.TEXT, "The host to listen on, with --port.")
    port: int = option(
        8000,
        "Network",
        kinds.whole(0, 65535, "PORT"),
        "The port to listen on; 0 takes a free one. If $PORT gives it, the host is 0.0.0.0.",
        platform_variable="PORT",
    )
    uds_mode: int | None = option(
        None, "Network", kinds.OCTAL, "The permissions of a unix socket, such as 660."
    )
    reuse_port: bool = option(
        False, "Network", kinds.SWITCH, "Let another server listen on the same port as well."
    )
    root_path: str = option(
        "", "Network", kinds.ROOT_PATH, "The path under which a proxy has mounted the application."
    )
    forwarded_allow_ips: tuple[str, ...] = option(
        (),
        "Network",
        kinds.several(kinds.PROXY, r"[,\s]+", anywhere=True),
        "Proxies whose word on client, scheme, host and path is taken: addresses, networks "
        "(10.0.0.0/8), unix, or * for everybody; repeatable.",
        platform_variable="FORWARDED_ALLOW_IPS",
    )
    forwarded_headers: tuple[str, ...] = option(
        FORWARDED_HEADERS,
        "Network",
        kinds.several(kinds.choice(*FORWARDED_HEADERS, metavar="NAME"), r"[,\s]+", anywhere=True),
        "Which of their headers are read; leave out those that a proxy does not set itself.",
    )
    proxy_protocol: bool = option(
        False,
        "Network",
        kinds.SWITCH,
        "These proxies begin each connection by a PROXY header, version 1 or 2, that tells the "
        "client's address.",
    )
    header: tuple[tuple[str, str], ...] = option(
        (),
        "Network",
        kinds.several(kinds.HEADER, r"[\r\n]+"),
        "A header to add to every answer; repeatable.",
    )
    ssl_certfile: str | None = option(
        None,
        "TLS",
        kinds.TEXT,
        "The certificate, with its chain, in PEM form; with it the server speaks HTTPS.",
    )
    ssl_keyfile: str | None = option(
        None, "TLS", kinds.TEXT, "Its private key, unless that is in the same file."
    )
    ssl_keyfile_password: str | None = option(
        None, "TLS", kinds.SECRET, "What the key is encrypted with; better in a file of settings."
    )
    ssl_ca_certs: str | None = option(
        None, "TLS", kinds.TEXT, "The authorities whose certificates clients may show."
    )
    ssl_cert_reqs: str = option(
        "none", "TLS", kinds.CERT_REQS, "Whether clients are asked for a certificate."
    )
    ssl_min_version: str = option(
        "1.2", "TLS", kinds.choice("1.2", "1.3"), "The oldest version of TLS that is spoken."
    )
    ssl_ciphers: str | None = option(
        None, "TLS", kinds.TEXT, "The ciphers for TLS 1.2, as OpenSSL writes them."
    )
    workers: int = option(
        1,
        "Workers",
        kinds.WORKERS,
        "Worker processes; auto for as many as there are cores for this server, by affinity and "
        "the quota of its cgroup; 0 serves in this process, for a debugger.",
        short="-w",
        platform_variable="WEB_CONCURRENCY",
    )
    threads: int = option(
        8,
        "Workers",
        kinds.whole(1, 256),
        "Threads of a WSGI worker, used while the application blocks; 1 for none but the loop's.",
        only="wsgi",
    )
    wsgi_buffer_chunked: bool = option(
        True,
        "Workers",
        kinds.SWITCH,
        "Receive a chunked body whole before a WSGI application is called, and tell its length.",
        only="wsgi",
    )
    parser: str = option(
        "auto",
        "Workers",
        kinds.choice("auto", "python", "httptools"),
        "What reads HTTP; auto takes the fastest one.",
    )
    loop: str = option(
        "auto",
        "Workers",
        kinds.choice("auto", "uvloop", "asyncio"),
        "The event loop of ASGI; auto takes uvloop where it is installed.",
        only="asgi",
    )
    lifespan: str = option(
        "auto",
        "Workers",
        kinds.choice("auto", "on", "off"),
        "ASGI startup and shutdown events; auto goes on without them if the app has none.",
        only="asgi",
    )
    max_requests: int = option(
        0, "Workers", kinds.whole(0), "Replace a worker after so many requests; 0 for never."
    )
    max_requests_jitter: int | None = option(
        None,
        "Workers",
        kinds.whole(0),
        "Up to so many requests more, not all workers the same; default: 10 % of --max-requests.",
    )
    max_memory: int = option(
        0, "Workers", kinds.size(0), "Replace a worker that takes more memory; 0 for never."
    )
    max_lifetime: float = option(
        0.0, "Workers", _TIMEOUT, "Replace a worker after so long, or up to a tenth sooner."
    )
    preload: bool = option(
        False,
        "Workers",
        kinds.SWITCH,
        "Import the application once, before the workers: less memory, and they start at once.",
    )
    user: str | None = option(
        None, "Process", kinds.TEXT, "The user that workers become, once the addresses are bound."
    )
    group: str | None = option(
        None, "Process", kinds.TEXT, "The group that workers become; default: the user's group."
    )
    umask: int | None = option(
        None, "Process", kinds.OCTAL, "The permissions that new files shall not have, such as 027."
    )
    pid: str | None = option(
        None, "Process", kinds.TEXT, "A file for the number of the master process."
    )
    timeout_headers: float = option(
        10.0, "Timeouts", _TIMEOUT, "For a client to send the head of a request."
    )
    timeout_body: float = option(
        30.0, "Timeouts", _TIMEOUT, "For a client that sends a body too slowly."
    )
    timeout_write: float = option(
        30.0, "Timeouts", _TIMEOUT, "For a client that takes its answer too slowly."
    )
    timeout_keep_alive: float = option(
        75.0,
        "Timeouts",
        kinds.duration(off=math.inf),
        "For an idle connection to send its next request; 0 closes after each answer, off never.",
    )
    timeout_request: float = option(
        0.0, "Timeouts", _TIMEOUT, "For the application to complete its answer; off by default."
    )
    warn_blocked: float = option(
        0.5,
        "Timeouts",
        _TIMEOUT,
        "Log what holds the event loop of ASGI for longer than this.",
        only="asgi",
    )
    timeout_boot: float = option(
        60.0, "Timeouts", _TIMEOUT, "For a worker to import and start the application."
    )
    timeout_worker: float = option(
        30.0,
        "Timeouts",
        _TIMEOUT,
        "For a worker that shows no sign of life; with --threads 1, for each request.",
    )
    timeout_graceful_shutdown: float = option(
        30.0,
        "Timeouts",
        kinds.duration(off=None),
        "For requests to finish once the server was told to stop.",
    )
    limit_request_line: int = option(8190, "Limits", kinds.size(64), "The longest request line.")
    limit_headers: int = option(100, "Limits", kinds.whole(1), "The most headers of one request.")
    limit_header_size: int = option(
        65536, "Limits", kinds.size(256), "The largest block of headers."
    )
    limit_body: int = option(1 << 30, "Limits", kinds.size(0), "The largest body of a request.")
    ws: str = option(
        "auto",
        "WebSockets",
        kinds.choice("auto", "wsproto", "off"),
        "What speaks WebSocket with ASGI applications; auto is wsproto with a short cut.",
        only="asgi",
    )
    ws_max_size: int = option(
        16 << 20, "WebSockets", kinds.size(1), "The largest message.", only="asgi"
    )
    ws_ping_interval: float = option(
        20.0, "WebSockets", _TIMEOUT, "Between pings to a client.", only="asgi"
    )
    ws_ping_timeout: float = option(
        20.0, "WebSockets", _TIMEOUT, "For a ping to be answered.", only="asgi"
    )
    ws_compression: bool = option(
        True,
        "WebSockets",
        kinds.SWITCH,
        "Compress messages for clients that offer it.",
        only="asgi",
    )
    limit_concurrency: int = option(
        0,
        "Limits",
        kinds.whole(0),
        "The most requests an ASGI worker has in progress at once; 0 for no limit.",
        only="asgi",
    )
    limit_connections: int = option(
        0,
        "Limits",
        kinds.whole(0),
        "The most connections a worker has at once, 0 for no limit; others wait until some close.",
    )
    limit_spool: int = option(
        1 << 30,
        "Limits",
        kinds.size(0),
        "The most bytes of request bodies that a WSGI worker has in temporary files at once.",
        only="wsgi",
    )
    access_log: str = option(
        "-",
        "Logging",
        kinds.LOG_FILE,
        "Where to write a line for each request: a file, - for standard output, syslog:, "
        "syslog:PATH, syslog://HOST:PORT, or off.",
    )
    access_log_format: str = option(
        "text",
        "Logging",
        kinds.ACCESS_FORMAT,
        "What it says: text, common, combined, or a line of atoms such as '%(h)s %(r)s %(s)s'.",
    )
    access_log_redact: tuple[str, ...] = option(
        (),
        "Logging",
        kinds.several(kinds.TEXT, r"[,\s]+", anywhere=True),
        "Names of query parameters whose values it leaves out; repeatable.",
    )
    log_format: str = option(
        "text",
        "Logging",
        kinds.choice("text", "json"),
        "Lines for people, or a JSON object a line, of the access log and of messages.",
    )
    log_level: str = option(
        "info", "Logging", kinds.choice(*_LEVELS), "The least serious messages to show."
    )
    error_log: str = option(
        "-",
        "Logging",
        kinds.FILE,
        "Where to write the server's messages: a file, or - for standard error.",
    )
    capture_output: bool = option(
        False,
        "Logging",
        kinds.SWITCH,
        "Send what the application prints, or writes to descriptors 1 and 2, to the error log.",
    )
    log_config: str | None = option(
        None, "Logging", kinds.TEXT, "A JSON or TOML file for logging.config.dictConfig."
    )
    counts: bool = option(
        True,
        "Process",
        kinds.SWITCH,
        "Count requests, durations and bytes for bare-serve status and top.",
    )
    hooks: str | None = option(
        None,
        "Process",
        kinds.TEXT,
        "A module, or path/to/file.py, with functions to call when the server starts, a worker "
        "is ready, and so on.",
    )
    config: str | None = option(
        None, "Settings", kinds.TEXT, "A file of settings to read in the place of bare-serve.toml."
    )
    env_file: str | None = option(
        None,
        "Settings",
        kinds.TEXT,
        "A file of NAME=value lines, as python-dotenv reads them: variables for the application "
        "and for this server.",
    )
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """For each option, in words, where its value came from."""
    variables: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What --env-file has for the environment."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All the addresses to listen on, as text."""
        host = self.host.strip("[]")
        own = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        return tuple(with_port(each, self.port) for each in self.bind) or (own,)


def _table() -> tuple[Option, ...]:
    inherited = {each.name for base in Settings.__bases__ for each in fields(base)}
    ordered = sorted(fields(Settings), key=lambda entry: entry.name in inherited)  # those last
    table = [*filter(None, map(option_of, ordered))]
    for name in ("wsgi", "asgi"):
        text = f"Short for --interface {name}."
        short = Option(name, "Target", kinds.SWITCH, text, stands_for=("interface", name))
        table.insert(2, short)
    return tuple(table)


OPTIONS = _table()
BY_NAME: Mapping[str, Option] = MappingProxyType({option.name: option for option in OPTIONS})
