"""Settings of gunicorn and uvicorn: each once, for flags, keys, docs and --migrate alike.

A setting of theirs works under their name (`same`), means nothing here and is passed over with a
warning (`idle`), or has to be decided on and is refused with an answer (`ask`). What lives here:
the table, and finding a row by its flag or key. What must not: lines (cli/compat.py), files
(sources.py, cli/migrate.py), options of our own (settings.py).

What is spelled alike everywhere is not in the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final


class Verdict:
    """What becomes of one value of a setting that depends on it."""

    # Plain classes, here and below: to make a named tuple takes 0.5 ms of each start.
    __slots__ = ("idle", "instead", "text")

    def __init__(self, text: str, idle: bool = True, instead: str = "") -> None:
        self.text = text
        self.idle = idle
        self.instead = instead


class Foreign:
    """One setting of another server."""

    __slots__ = (
        *("convert", "flags", "idle", "instead", "judge", "keys", "option", "switch", "text"),
        *("unless", "value"),
    )

    def __init__(
        self,
        flags: tuple[str, ...],
        option: str = "",
        value: str | None = None,
        convert: Callable[[str], str] = str,
        text: str = "",
        idle: bool = False,
        switch: bool = False,
        instead: str = "",
        unless: str = "",
        keys: tuple[str, ...] = (),
        judge: Callable[[str], Verdict] | None = None,
    ) -> None:
        """Make a row.

        Args:
            flags: how it is spelled on their command lines.
            option: our option that it stands for, by its name; empty: there is none.
            value: for a switch that stands for an option: the value.
            convert: makes our value of theirs.
            text: what to do here, or why there is nothing to do; empty where it stands for one.
            idle: it means nothing here, and a server without it does what was meant.
            switch: it takes no value.
            instead: what a line of ours has in its place; {} stands for the value.
            unless: our flag beside which it is idle.
            keys: its names in a gunicorn.conf.py that no flag gives.
            judge: says what a value comes to, where that differs.
        """
        self.flags = flags
        self.option = option
        self.value = value
        self.convert = convert
        self.text = text
        self.idle = idle
        self.switch = switch
        self.instead = instead
        self.unless = unless
        self.keys = keys
        self.judge = judge

    @property
    def names(self) -> tuple[str, ...]:
        """All its names as a key."""
        longs = (flag[2:].replace("-", "_") for flag in self.flags if flag.startswith("--"))
        return (*self.keys, *longs)

    def verdict(self, value: str) -> Verdict:
        """Return what becomes of a value."""
        if self.judge is not None:
            return self.judge(value)
        return Verdict(self.text, self.idle, self.instead.replace("{}", value))


SENSIBLE_THREADS: Final = 64
"""Threads in the place of gevent's greenlets: docs/migrating.md has the measurement."""
_CLASSES: Final = "WSGI and ASGI are told apart by themselves, or by --wsgi and --asgi"
_GREEN: Final = (
    f"calls that wait do so in threads here: --threads {SENSIBLE_THREADS} serves as many at once; "
    "leave out monkey patching (docs/migrating.md, gevent)"
)
_TIMEOUT: Final = (
    "use --timeout-worker for a worker that hangs, --timeout-request to bound each request"
)
_NO_PROXY: Final = (
    "no proxy is trusted unless --forwarded-allow-ips names it; its scheme comes by "
    "X-Forwarded-Proto or Forwarded"
)


def _worker_class(value: str) -> Verdict:
    name = value.rpartition(".")[2].lower()
    if any(green in name for green in ("gevent", "eventlet", "tornado")):
        return Verdict(_GREEN, idle=False, instead=f"--threads {SENSIBLE_THREADS}")
    return Verdict(f"there are no worker classes: {_CLASSES}")


def _timeout(value: str) -> Verdict:
    ours = "off" if value == "0" else value
    return Verdict(_TIMEOUT, idle=False, instead=f"--timeout-worker {ours}")


def _proxy_protocol(value: str) -> Verdict:
    text = "write --proxy-protocol alone, for on, or leave it out; both versions are understood"
    return Verdict(text, idle=False, instead="" if value == "off" else "--proxy-protocol")


def _config(value: str) -> Verdict:
    text = f"bare-serve --migrate {value or 'FILE'} makes a bare-serve.toml of it, and functions "
    return Verdict(f"{text}go to --hooks", idle=False)


def _pythonpath(value: str) -> Verdict:
    if "," in value:
        return Verdict("set PYTHONPATH in the environment, with colons between", idle=False)
    return Verdict("use --app-dir", idle=False, instead=f"--app-dir {value}")


def _syslog(value: str) -> Verdict:
    scheme, _, where = value.partition("://")
    where = where.partition("#")[0]  # unix://PATH#TYPE
    ours = {"udp": f"syslog://{where}", "unix": f"syslog:{where}"}.get(scheme, "")
    return Verdict(_SYSLOG_TO, idle=False, instead=f"--access-log {ours}" if ours else "")


def _of(values: Mapping[str, str]) -> Callable[[str], str]:
    return lambda value: values.get(value, value)


def _same(option: str, *flags: str, **more: object) -> Foreign:
    return Foreign(flags, option, **more)  # type: ignore[arg-type]


def _idle(text: str, *flags: str, **more: object) -> Foreign:
    return Foreign(flags, text=text, idle=True, **more)  # type: ignore[arg-type]


def _ask(text: str, *flags: str, **more: object) -> Foreign:
    return Foreign(flags, text=text, **more)  # type: ignore[arg-type]


_HTTP2 = "only HTTP/1.1 and WebSockets are spoken; put a proxy in front"
_SMUGGLING = "it opens ways to smuggle requests, and is not to be had"
_STATSD = "there is no statsd; --ops has metrics for Prometheus"
_CONTROL = "use --ops unix:PATH --ops-control"
_SYSLOG_TO = "use --access-log syslog://HOST:PORT (UDP), syslog:PATH or syslog:"
_SYSLOG = "write it behind the address: --access-log 'syslog:?{}=NAME'"

TABLE: Final[tuple[Foreign, ...]] = (
    # ------------------------------------------------------------------ work as they are
    _same("access_log", "--no-access-log", value="off"),
    _same("access_log", "--access-logfile", keys=("accesslog",)),
    _same("access_log_format", "--access-logformat", keys=("access_log_format",)),
    _same("timeout_graceful_shutdown", "--graceful-timeout"),
    _same("timeout_keep_alive", "--keep-alive", keys=("keepalive",)),
    _same("lifespan", "--asgi-lifespan"),
    _same("loop", "--asgi-loop"),
    _same("error_log", "--error-logfile", "--log-file", keys=("errorlog", "logfile")),
    _same("log_config", "--log-config-json", keys=("logconfig_json",)),
    _same("log_config", keys=("logconfig",)),
    _same("parser", "--http-parser", convert=_of({"fast": "httptools"})),
    _same("parser", "--http", convert=_of({"h11": "python"})),
    _same("timeout_worker", "--timeout-worker-healthcheck"),
    _same("ws_max_size", "--websocket-max-message-size"),
    _same("group", "-g"),
    _same("umask", "-m"),
    _same("pid", "-p", keys=("pidfile",)),
    _same("user", "-u"),
    _same("limit_connections", "--worker-connections"),
    _same("max_requests", "--limit-max-requests"),
    _same("max_requests_jitter", "--limit-max-requests-jitter"),
    _same("limit_headers", "--limit-request-fields"),
    _same("log_level", "--loglevel"),
    _same("preload", "--preload-app", value="yes"),
    _same("reload_include", "--reload-extra-file", keys=("reload_extra_files", "reload_includes")),
    _same("reload_exclude", keys=("reload_excludes",)),
    _same("reload_dir", keys=("reload_dirs",)),
    _same("header", keys=("headers",)),
    _same("reuse_port", "--reuse-port", value="yes"),
    _same("ssl_certfile", "--certfile"),
    _same("ssl_keyfile", "--keyfile"),
    _same("ssl_ca_certs", "--ca-certs"),
    _same("ssl_cert_reqs", "--cert-reqs"),
    _same("ssl_ciphers", "--ciphers"),
    _same("bind", "--uds", convert=lambda path: f"unix:{path}"),
    _same("bind", "--fd", convert=lambda number: f"fd://{number}"),
    _same("app", keys=("wsgi_app",)),
    # ------------------------------------------------------------------ mean nothing here
    _idle("the queue of a listener is as long as net.core.somaxconn allows", "--backlog"),
    _idle("signs of life are in shared memory, not in files", "--worker-tmp-dir"),
    _idle("titles of processes name the application", "-n", "--name",
          keys=("proc_name", "default_proc_name")),
    _idle("headers with underscores never stand for others", "--header-map"),
    _idle("an application is told at once when its client has left",
          "--asgi-disconnect-grace-period"),
    _idle("an application that does not read holds its client back; see docs/websockets.md",
          "--ws-max-queue"),
    _idle("the system tells of changes where it can, and files are looked at twice a second",
          "--reload-engine", "--reload-delay"),
    _idle("a file is sent by sendfile wherever that is possible", "--no-sendfile",
          switch=True, keys=("sendfile",)),
    _idle("a user's supplementary groups come with --user", "--initgroups", switch=True),
    _idle("the access log goes where --access-log says", "--disable-redirect-access-to-syslog",
          switch=True),
    _idle("standard descriptors are inherited; --capture-output sends them to the error log",
          "-R", "--enable-stdio-inheritance", switch=True),
    _idle("there is none without --ops-control", "--no-control-socket", switch=True,
          keys=("control_socket_disable",)),
    _idle("there is no Server header; add one with --header", "--server-header", switch=True),
    _idle("there is no Server header to leave out", "--no-server-header", switch=True),
    _idle("an answer always has a Date (RFC 9110 6.6.1)", "--date-header", "--no-date-header",
          switch=True),
    _idle("each request has context variables of its own", "--reset-contextvars", switch=True),
    _idle("a handshake never holds up others here", "--do-handshake-on-connect", switch=True),
    _idle("they are always suppressed", "--suppress-ragged-eofs", switch=True),
    _idle("set FORCE_COLOR=1 or NO_COLOR=1 in the environment", "--use-colors", switch=True),
    _idle("set NO_COLOR=1 in the environment", "--no-use-colors", switch=True),
    _idle("no proxy is trusted unless --forwarded-allow-ips names it", "--no-proxy-headers",
          switch=True),
    # ------------------------------------------------------------------ to be decided on
    Foreign(("-k", "--worker-class"), judge=_worker_class,
            text=f"there are no worker classes: {_CLASSES}; for gevent and eventlet, {_GREEN}"),
    Foreign(("-t", "--timeout"), judge=_timeout, text=_TIMEOUT),
    Foreign(("-c",), judge=_config, text=_config("").text),
    _ask("put it in front of the command, or write a file for --env-file", "-e", "--env",
         keys=("raw_env",)),
    _ask("set TMPDIR in the environment: bodies in files are there", keys=("tmp_upload_dir",)),
    _ask("use --print-config", keys=("print_config",)),
    Foreign(("--pythonpath",), judge=_pythonpath, text=_pythonpath("").text),
    _ask("change the directory before, by cd or WorkingDirectory= of systemd; --app-dir only says "
         "where the application is imported from", "--chdir", instead="--app-dir {}"),
    _ask("headers such as SCRIPT_NAME are never taken for variables; a prefix comes by "
         "--root-path, or by X-Forwarded-Prefix from a proxy that --forwarded-allow-ips names",
         "--forwarder-headers"),
    _ask("serve the factory that loads it, with --factory",
         "--paste", "--paster", "--paste-global", keys=("raw_paste_global_conf",)),
    _ask("use --log-format json or --log-config", "--logger-class"),
    _ask("use --log-config with JSON or TOML: json.dump(logconfig_dict, file) makes such a file",
         keys=("logconfig_dict",)),
    Foreign(("--log-syslog-to",), judge=_syslog, text=_SYSLOG_TO, keys=("syslog_addr",)),
    _ask(_SYSLOG.format("tag"), "--log-syslog-prefix", keys=("syslog_prefix",)),
    _ask(_SYSLOG.format("facility"), "--log-syslog-facility", keys=("syslog_facility",)),
    _ask("use --access-log syslog:", "--log-syslog", switch=True, keys=("syslog",),
         instead="--access-log syslog:"),
    _ask(_STATSD, "--statsd-host", "--statsd-prefix", "--dogstatsd-tags"),
    _ask("--ops has metrics for Prometheus, the backlog among them", "--enable-backlog-metric",
         switch=True),
    _ask(_HTTP2, "--protocol", "--uwsgi-allow-from", "--http-protocols", "--http2-cleartext",
         "--http2-max-concurrent-streams", "--http2-initial-window-size", "--http2-max-frame-size",
         "--http2-max-header-list-size", keys=("uwsgi_allow_ips",)),
    _ask(_HTTP2, "--http2", switch=True),
    _ask("there are no dirty workers; use a task queue", "--dirty-app", "--dirty-workers",
         "--dirty-timeout", "--dirty-threads", "--dirty-graceful-timeout", keys=("dirty_apps",)),
    _ask(_CONTROL, "--control-socket", "--control-socket-mode"),
    _ask("use --check", "--check-config", switch=True, instead="--check"),
    _ask("use --version", "-v", switch=True, instead="--version"),
    _ask("run it with python -m trace", "--spew", switch=True),
    _ask(_SMUGGLING, "--permit-obsolete-folding", "--strip-header-spaces",
         "--casefold-http-method", "--permit-unconventional-http-method",
         "--permit-unconventional-http-version", switch=True),
    _ask("use --limit-header-size, for all the headers together", "--limit-request-field_size"),
    _ask("use --limit-header-size", "--h11-max-incomplete-event-size",
         instead="--limit-header-size {}"),
    _ask("use --forwarded-allow-ips, which names the proxies, and --proxy-protocol without a value",
         "--proxy-allow-from", keys=("proxy_allow_ips",), instead="--forwarded-allow-ips {}"),
    _ask("use --forwarded-allow-ips, which names the proxies; it is 127.0.0.1 for uvicorn",
         "--proxy-headers", switch=True, unless="--forwarded-allow-ips",
         instead="--forwarded-allow-ips 127.0.0.1"),
    _ask(_NO_PROXY + ", not by X-Forwarded-Ssl: have the proxy set X-Forwarded-Proto",
         "--secure-scheme-headers"),
    _ask("use --ws-compression or --no-ws-compression", "--ws-per-message-deflate"),
    _ask("let systemd or a container run it in the background", "-D", "--daemon", switch=True),
    _ask("use --ssl-min-version 1.2 or 1.3", "--ssl-version"),
    _ask("name the ciphers by --ssl-ciphers, and the oldest version by --ssl-min-version",
         keys=("ssl_context",)),
)  # fmt: skip

VALUES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "--interface": {"asgi3": "asgi"},
        "--log-level": {"trace": "debug"},
        "--loop": {"none": "auto"},
        "--ws": dict.fromkeys(("websockets", "websockets-sansio"), "auto") | {"none": "off"},
    }
)
"""Values of theirs for flags that are spelled alike, and ours."""
SWITCH_VALUES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"--proxy-protocol": ("v1", "v2", "auto", "off")}
)
"""The values that others want behind what is a switch here; they would be taken for the target."""

SWITCHES: Final[Mapping[str, str]] = MappingProxyType(
    {"--access-log": "it is written unless --access-log says off"}
)
"""Switches of theirs that take a value here."""

BY_FLAG: Final[Mapping[str, Foreign]] = MappingProxyType(
    {flag: row for row in TABLE for flag in row.flags}
)


def is_target(text: str) -> bool:
    """Return whether a text is a target that no file of a log is called like."""
    return re.fullmatch(r"(?!syslog:)[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", text) is not None


def by_key(name: str) -> Foreign | None:
    """Return the row of a key, written with hyphens or underscores; None if nobody has it."""
    wanted = name.replace("-", "_")
    return next((row for row in TABLE if wanted in row.names), None)


def for_files(text: str) -> str:
    """Return an answer as it is given about a file: our flags become keys."""
    text = re.sub(r"--threads (\d+)", r"threads = \1", text)
    return " ".join(word.removeprefix("--") for word in text.split(" "))
