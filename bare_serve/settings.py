"""Every option once, and the one record that holds what they came to.

The fields of Settings are the table: each carries its kind, help text and names, and from it
come the command line's options, the environment's variables, the keys of the file and
--print-config. `load` reads the sources, each stronger than the one before: defaults,
[tool.bare-serve] of pyproject.toml, PORT and WEB_CONCURRENCY, BARE_SERVE_<OPTION>, what
was asked for (the command line, or keyword arguments from Python). Options that contradict
each other are refused within one source; between sources the stronger one wins.

Nothing is bound, imported or printed here.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bare_serve import values
from bare_serve.errors import UsageError
from bare_serve.forwarded import FIELDS
from bare_serve.values import Kind

PREFIX = "BARE_SERVE_"
FILE_NAME = "pyproject.toml"
GROUPS = ("Target", "Network", "Workers", "Process", "Timeouts", "Limits", "WebSockets", "Logging")


@dataclass(frozen=True, slots=True)
class Option:
    """One line of the table: everything that is known of one option."""

    name: str
    group: str
    kind: Kind
    help: str
    default: Any = None
    short: str = ""
    platform_variable: str = ""
    """A variable that hosting platforms set, weaker than our own."""
    stands_for: tuple[str, str] | None = None
    """For a switch that is only a short spelling of another option's value."""

    @property
    def key(self) -> str:
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def _option(default: Any, group: str, kind: Kind, text: str, **more: str) -> Any:
    return field(default=default, metadata={"option": (group, kind, text, more)})


_TIMEOUT = values.duration()
FORWARDED_HEADERS = tuple(name.decode("ascii") for name in FIELDS)
_LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is to be served, and how; complete, checked and never changed."""

    app: str | None = _option(
        None,
        "Target",
        values.TEXT,
        "The application: module:attribute, module, or path/to/file.py:attribute.",
    )
    interface: str = _option(
        "auto",
        "Target",
        values.choice("auto", "asgi", "asgi2", "wsgi"),
        "Which kind of application it is, if detection is not to decide.",
    )
    factory: bool = _option(
        False,
        "Target",
        values.SWITCH,
        "The target is a function without arguments that returns the application.",
    )
    app_dir: Path = _option(  # noqa: RUF009 (Path is immutable)
        Path(), "Target", values.DIRECTORY, "Where the application is looked for and imported from."
    )
    demo: bool = _option(
        False,
        "Target",
        values.SWITCH,
        "Serve the built-in application, which shows what it receives.",
    )
    bind: tuple[str, ...] = _option(
        (),
        "Network",
        values.several(values.ADDRESS, r"[,\s]+"),
        "Where to listen: HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH or fd://N; repeatable.",
        short="-b",
    )
    host: str = _option("127.0.0.1", "Network", values.TEXT, "The host to listen on, with --port.")
    port: int = _option(
        8000,
        "Network",
        values.whole(0, 65535, "PORT"),
        "The port to listen on; 0 takes a free one. If $PORT gives it, the host is 0.0.0.0.",
        platform_variable="PORT",
    )
    uds_mode: int | None = _option(
        None, "Network", values.OCTAL, "The permissions of a unix socket, such as 660."
    )
    reuse_port: bool = _option(
        False, "Network", values.SWITCH, "Let another server listen on the same port as well."
    )
    root_path: str = _option(
        "", "Network", values.ROOT_PATH, "The path under which a proxy has mounted the application."
    )
    forwarded_allow_ips: tuple[str, ...] = _option(
        (),
        "Network",
        values.several(values.PROXY, r"[,\s]+", anywhere=True),
        "Proxies whose word on client, scheme, host and path is taken: addresses, networks "
        "(10.0.0.0/8), unix, or * for everybody; repeatable.",
        platform_variable="FORWARDED_ALLOW_IPS",
    )
    forwarded_headers: tuple[str, ...] = _option(
        FORWARDED_HEADERS,
        "Network",
        values.several(values.choice(*FORWARDED_HEADERS, metavar="NAME"), r"[,\s]+", anywhere=True),
        "Which of their headers are read; leave out those that a proxy does not set itself.",
    )
    header: tuple[tuple[str, str], ...] = _option(
        (),
        "Network",
        values.several(values.HEADER, r"[\r\n]+"),
        "A header to add to every answer; repeatable.",
    )
    workers: int = _option(
        1,
        "Workers",
        values.whole(0, 256),
        "Worker processes; 0 serves in this process, for a debugger.",
        short="-w",
        platform_variable="WEB_CONCURRENCY",
    )
    threads: int = _option(
        8,
        "Workers",
        values.whole(1, 256),
        "Threads of a WSGI worker, used while the application blocks; 1 for none but the loop's.",
    )
    wsgi_buffer_chunked: bool = _option(
        True,
        "Workers",
        values.SWITCH,
        "Receive a chunked body whole before a WSGI application is called, and tell its length.",
    )
    parser: str = _option(
        "auto",
        "Workers",
        values.choice("auto", "python", "httptools"),
        "What reads HTTP; auto takes the fastest one.",
    )
    loop: str = _option(
        "auto",
        "Workers",
        values.choice("auto", "uvloop", "asyncio"),
        "The event loop of ASGI; auto takes uvloop where it is installed.",
    )
    lifespan: str = _option(
        "auto",
        "Workers",
        values.choice("auto", "on", "off"),
        "ASGI startup and shutdown events; auto goes on without them if the app has none.",
    )
    max_requests: int = _option(
        0, "Workers", values.whole(0), "Replace a worker after so many requests; 0 for never."
    )
    max_requests_jitter: int | None = _option(
        None,
        "Workers",
        values.whole(0),
        "Up to so many requests more, not all workers the same; a tenth by itself.",
    )
    max_memory: int = _option(
        0, "Workers", values.size(0), "Replace a worker that takes more memory; 0 for never."
    )
    max_lifetime: float = _option(
        0.0, "Workers", _TIMEOUT, "Replace a worker after so long, or up to a tenth sooner."
    )
    preload: bool = _option(
        False,
        "Workers",
        values.SWITCH,
        "Import the application once, before the workers: less memory, and they start at once.",
    )
    user: str | None = _option(
        None, "Process", values.TEXT, "The user that workers become, once the addresses are bound."
    )
    group: str | None = _option(
        None, "Process", values.TEXT, "The group that workers become; by itself the user's."
    )
    umask: int | None = _option(
        None, "Process", values.OCTAL, "The permissions that new files shall not have, such as 027."
    )
    pid: str | None = _option(
        None, "Process", values.TEXT, "A file for the number of the master process."
    )
    timeout_headers: float = _option(
        10.0, "Timeouts", _TIMEOUT, "For a client to send the head of a request."
    )
    timeout_body: float = _option(
        30.0, "Timeouts", _TIMEOUT, "For a client that sends a body too slowly."
    )
    timeout_write: float = _option(
        30.0, "Timeouts", _TIMEOUT, "For a client that takes nothing of its answer."
    )
    timeout_keep_alive: float = _option(
        75.0, "Timeouts", _TIMEOUT, "For an idle connection to send its next request."
    )
    timeout_request: float = _option(
        0.0, "Timeouts", _TIMEOUT, "For the application to complete its answer; off by default."
    )
    warn_blocked: float = _option(
        0.5, "Timeouts", _TIMEOUT, "Log what holds the event loop of ASGI for longer than this."
    )
    timeout_boot: float = _option(
        60.0, "Timeouts", _TIMEOUT, "For a worker to import and start the application."
    )
    timeout_worker: float = _option(
        30.0,
        "Timeouts",
        _TIMEOUT,
        "For a worker that shows no sign of life; with --threads 1, for each request.",
    )
    timeout_graceful_shutdown: float = _option(
        30.0,
        "Timeouts",
        values.duration(can_be_off=False),
        "For requests to finish once the server was told to stop.",
    )
    limit_request_line: int = _option(8190, "Limits", values.size(64), "The longest request line.")
    limit_headers: int = _option(100, "Limits", values.whole(1), "The most headers of one request.")
    limit_header_size: int = _option(
        65536, "Limits", values.size(256), "The largest block of headers."
    )
    limit_body: int = _option(1 << 30, "Limits", values.size(0), "The largest body of a request.")
    ws: str = _option(
        "auto",
        "WebSockets",
        values.choice("auto", "wsproto", "off"),
        "What speaks WebSocket with ASGI applications; auto is wsproto with a short cut.",
    )
    ws_max_size: int = _option(16 << 20, "WebSockets", values.size(1), "The largest message.")
    ws_ping_interval: float = _option(20.0, "WebSockets", _TIMEOUT, "Between pings to a client.")
    ws_ping_timeout: float = _option(20.0, "WebSockets", _TIMEOUT, "For a ping to be answered.")
    ws_compression: bool = _option(
        True, "WebSockets", values.SWITCH, "Compress messages for clients that offer it."
    )
    limit_concurrency: int = _option(
        0,
        "Limits",
        values.whole(0),
        "The most requests an ASGI worker has in progress at once; 0 for no limit.",
    )
    access_log: str = _option(
        "-",
        "Logging",
        values.LOG_FILE,
        "Where to write a line for each request: a file, - for standard output, or off.",
    )
    access_log_format: str = _option(
        "text",
        "Logging",
        values.ACCESS_FORMAT,
        "What it says: text, common, combined, or a line of atoms such as '%(h)s %(r)s %(s)s'.",
    )
    access_log_redact: tuple[str, ...] = _option(
        (),
        "Logging",
        values.several(values.TEXT, r"[,\s]+", anywhere=True),
        "Names of query parameters whose values it leaves out; repeatable.",
    )
    log_format: str = _option(
        "text",
        "Logging",
        values.choice("text", "json"),
        "Lines for people, or a JSON object a line, of the access log and of messages.",
    )
    log_level: str = _option(
        "info", "Logging", values.choice(*_LEVELS), "The least serious messages to show."
    )
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """For each option, in words, where its value came from."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All the addresses to listen on, as text."""
        host = self.host.strip("[]")
        return self.bind or (f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}",)


def _table() -> tuple[Option, ...]:
    table = []
    for entry in fields(Settings):
        if "option" in entry.metadata:
            group, kind, text, more = entry.metadata["option"]
            table.append(Option(entry.name, group, kind, text, entry.default, **more))
    for name in ("wsgi", "asgi"):
        text = f"Short for --interface {name}."
        short = Option(name, "Target", values.SWITCH, text, stands_for=("interface", name))
        table.insert(2, short)
    return tuple(table)


OPTIONS = _table()
BY_NAME: Mapping[str, Option] = MappingProxyType({option.name: option for option in OPTIONS})

# Within one source these contradict each other; from two sources the stronger one wins, and
# what the weaker one said is forgotten.
_RIVALS = (
    ("asgi", "wsgi"),
    ("asgi", "interface"),
    ("wsgi", "interface"),
    ("bind", "host"),
    ("bind", "port"),
    ("demo", "app"),
    ("demo", "factory"),
)


@dataclass(frozen=True, slots=True)
class _Given:
    """One raw value and where it stands: `label` for errors, `source` for --print-config."""

    raw: object
    label: str
    source: str


_Layer = dict[str, _Given]


def load(
    asked: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path,
    *,
    from_python: bool = False,
) -> Settings:
    """Read all sources; `asked` is the strongest one, option names to raw values.

    `directory` is the current one. Raises UsageError for anything that is not right.
    """
    layers = [_platform(environ), _environment(environ), _asked(asked, from_python)]
    layers.insert(0, _file(layers, directory))
    merged: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        _merge(merged, _settle(layer))
    result = {name: value for name, (value, _) in merged.items()}
    sources = {name: source for name, (_, source) in merged.items()}
    if sources.get("port") == "environment PORT" and "host" not in result:
        result["host"], sources["host"] = "0.0.0.0", "default with PORT"
    result.setdefault("app_dir", directory)
    return Settings(**result, sources=MappingProxyType(sources))


def table(settings: Settings) -> list[tuple[str, str, str]]:
    """One row for each setting: its name, its value, where the value came from."""
    rows = []
    for option in OPTIONS:
        if option.stands_for is None:
            value = getattr(settings, option.name)
            shown = "-" if value is None or value in ("", ()) else option.kind.show(value)
            rows.append((option.key, shown, settings.sources.get(option.name, "default")))
    return rows


def plain(settings: Settings) -> dict[str, dict[str, Any]]:
    """Each setting with its value, as JSON has it, and where the value came from."""
    return {
        option.key: {
            "value": str(value) if isinstance(value, Path) else value,
            "source": settings.sources.get(option.name, "default"),
        }
        for option in OPTIONS
        if option.stands_for is None
        for value in (getattr(settings, option.name),)
    }


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the known word most like this one, or nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _platform(environ: Mapping[str, str]) -> _Layer:
    return {
        option.name: _Given(environ[name], name, f"environment {name}")
        for option in OPTIONS
        if (name := option.platform_variable) and environ.get(name)
    }


def _environment(environ: Mapping[str, str]) -> _Layer:
    known = {option.variable: option.name for option in OPTIONS}
    layer = {}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            if name not in known:
                raise UsageError(f"unknown environment variable {name}{nearest(name, known)}")
            # Compose files and CI set variables to nothing where others would leave them out.
            if environ[name]:
                layer[known[name]] = _Given(environ[name], name, f"environment {name}")
    return layer


def _asked(asked: Mapping[str, object], from_python: bool) -> _Layer:
    layer = {}
    for name, raw in asked.items():
        if name not in BY_NAME:
            raise UsageError(f"run() has no option {name}{nearest(name, BY_NAME)}")
        label = f"run({name}=...)" if from_python else BY_NAME[name].flag
        if name == "app":
            label = f"target {raw!r}"
        layer[name] = _Given(raw, label, "run()" if from_python else "command line")
    return layer


def _file(others: list[_Layer], directory: Path) -> _Layer:
    """Read the pyproject.toml of the application's directory, else of the current one."""
    places = [directory]
    for layer in others:
        if given := layer.get("app_dir"):
            places.insert(0, directory / values.read(values.DIRECTORY, given.raw, given.label))
    for place in places:
        path = place / FILE_NAME
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(f"{path} is not valid TOML: {error}") from None
        return _section(content, path)
    return {}


def _section(content: Mapping[str, Any], path: Path) -> _Layer:
    tools = content.get("tool", {})
    section = tools.get("bare-serve", {}) if isinstance(tools, dict) else {}
    if not isinstance(section, dict):
        raise UsageError(f"{path}: tool.bare-serve is not a table; write [tool.bare-serve]")
    known = {option.key: option.name for option in OPTIONS}
    layer = {}
    for key, raw in section.items():
        if key not in known:
            raise UsageError(f"{path}: [tool.bare-serve] has no key {key!r}{nearest(key, known)}")
        if key == "app-dir" and isinstance(raw, str):
            raw = str(path.parent / raw)
        layer[known[key]] = _Given(raw, f"{path}: {key}", f"file {path}")
    return layer


def _settle(layer: _Layer) -> dict[str, tuple[Any, str]]:
    """Read the values of one source, refuse contradictions, spell out what is short."""
    read = {
        name: values.read(BY_NAME[name].kind, given.raw, given.label)
        for name, given in layer.items()
    }
    # A switch that is off rivals nothing.
    present = {name for name, value in read.items() if value is not False}
    for one, other in _RIVALS:
        if one in present and other in present:
            short = BY_NAME[one].stands_for
            if short is None or short != (other, read[other]):
                both = f"{layer[one].label} and {layer[other].label}"
                raise UsageError(f"{both} contradict each other; give only one of them")
    if read.get("lifespan") == "on" and "wsgi" in (
        read.get("interface"),
        read.get("wsgi") and "wsgi",
    ):
        raise UsageError(
            f"{layer['lifespan'].label} on is for ASGI applications, but WSGI is asked for"
        )
    settled = {}
    for name, value in read.items():
        short = BY_NAME[name].stands_for
        if short is None:
            settled[name] = (value, layer[name].source)
        elif value:
            settled[short[0]] = (short[1], layer[name].source)
    return settled


def _merge(merged: dict[str, tuple[Any, str]], stronger: dict[str, tuple[Any, str]]) -> None:
    for one, other in _RIVALS:
        if one in stronger and stronger[one][0] is not False:
            merged.pop(other, None)
        if other in stronger and stronger[other][0] is not False:
            merged.pop(one, None)
    if "app" in stronger:
        merged.pop("factory", None)  # it described the target that is replaced
    merged.update(stronger)
