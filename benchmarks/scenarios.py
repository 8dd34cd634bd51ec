"""What is measured: a table of scenarios, each with its applications, load and servers.

The servers of a scenario are those about which it says something; the default configuration of
bare-serve is in every one. `feature` names what bare-serve may not have yet: the scenario is then
listed as not there yet. Which figures of a scenario are judged is said by `judged`. A probe has its
own `columns`, of which `headline` ranks; `round_seconds` is what one of its rounds takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.servers import BY_KEY, Interface, Server
from benchmarks.wrk import Load

Kind = Literal["wrk", "mixed", "websocket", "probe"]
Section = Literal["", "hostile"]
Check = Literal[
    "hello",
    "json",
    "echo",
    "upload",
    "download",
    "stream",
    "pipelined",
    "websocket",
    "events",
    "room",
    "pid",
]

_WSGI = ("bare-serve:wsgi", "gunicorn-gthread", "granian:wsgi", "waitress", "fastpysgi:wsgi")
_ASGI = ("bare-serve:asgi", "uvicorn", "gunicorn-asgi", "granian:asgi", "hypercorn")
_BOTH = (*_WSGI, *_ASGI)
_OUR_VARIANTS = (
    *("bare-serve:wsgi:httptools", "bare-serve:asgi:httptools", "bare-serve:asgi:asyncio"),
)
# fastpysgi 0.6 under ASGI ends with a segmentation fault when a client leaves in the middle of
# an answer, as wrk does at its end: hello shows that, the others need not.
_EVERYBODY = (
    *(*_BOTH, *_OUR_VARIANTS, "bare-serve:wsgi:1-thread"),
    *("gunicorn-sync", "fastpysgi:asgi"),
)
_LOGGING = ("bare-serve:wsgi", "gunicorn-gthread", "bare-serve:asgi", "uvicorn")
_HOLDERS = (
    *("bare-serve:wsgi", "granian:wsgi:wide"),
    *("bare-serve:asgi", "uvicorn", "granian:asgi:wide"),
)
_STREAMERS = ("bare-serve:asgi", "uvicorn", "granian:asgi:wide", "hypercorn")
_PROCESSES = tuple(key for key in _BOTH if BY_KEY[key].most_workers > 1)
_TLS = tuple(key for key in _BOTH if BY_KEY[key].tls is not None)
_BESIEGED = (
    *("bare-serve:wsgi", "gunicorn-gthread", "granian:wsgi", "waitress"),
    *("bare-serve:asgi", "uvicorn", "granian:asgi", "hypercorn"),
)
_BESIEGED_SOCKETS = ("bare-serve:asgi", "uvicorn", "granian:asgi", "hypercorn")
_FORWARDED = ("bare-serve:wsgi", "gunicorn-gthread", "bare-serve:asgi", "uvicorn")
_MIXED = (*_WSGI, "bare-serve:asgi", "uvicorn", "granian:asgi")


@dataclass(frozen=True, slots=True)
class Scenario:
    key: str
    title: str
    app: str  # attribute in wsgi_apps and asgi_apps, or a whole target
    servers: tuple[str, ...]
    load: Load = field(default_factory=Load)
    kind: Kind = "wrk"
    check: Check = "hello"
    workers: int = 1
    tls: bool = False
    second: Load | None = None  # the load beside, of a mixed scenario
    message: int = 0  # bytes, of a WebSocket scenario
    latency: bool = True  # whether the percentiles mean something here
    megabytes: float = 0.0  # moved by one request
    feature: str = ""
    judged: tuple[str, ...] = ("rate", "cpu", "p99")
    probe: str = ""
    columns: tuple[str, ...] = ()
    headline: str = ""
    round_seconds: float = 0.0
    rounds: int = 0  # at most, in a run of all scenarios; 0: as many as the run has
    descriptors: int = 0  # how many files one process must be able to open
    section: Section = ""  # under which heading of the report it stands
    attack: str = ""  # in hostile.attacks
    package: str = ""  # what the load needs beside Python
    variables: tuple[tuple[str, str], ...] = ()  # of the servers' environment

    def target(self, interface: Interface) -> str:
        return self.app if ":" in self.app else f"{interface}_apps:{self.app}"

    def chosen(self) -> list[Server]:
        return [BY_KEY[key] for key in self.servers]


def _hostile(
    attack: str,
    title: str,
    servers: tuple[str, ...],
    app: str = "besieged",
    check: Check = "hello",
    **more: Any,
) -> Scenario:
    """What another client waits for its answers meanwhile, and how the server's memory grows."""
    return Scenario(
        f"hostile-{attack.replace(' ', '-')}",
        title,
        app,
        servers,
        kind="probe",
        check=check,
        probe="hostile",
        section="hostile",
        attack=attack,
        columns=more.pop("columns", ("worst", "wait99", "calm", "grown", "sent", "ended")),
        headline=more.get("judged", ("worst",))[0],
        judged=more.pop("judged", ("worst",)),
        round_seconds=4.4,
        rounds=1,
        **more,
    )


def _hostile_socket(attack: str, title: str) -> Scenario:
    app: dict[str, Any] = {"app": "asgi_apps:websocket", "check": "websocket", "message": 64}
    return _hostile(attack, title, _BESIEGED_SOCKETS, feature="WebSocket", **app)


_SLOW = {"judged": ("wait99",), "columns": ("worst", "wait99", "calm", "grown", "ended")}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("hello", "Hello, small request", "hello", _EVERYBODY),
    Scenario(
        "hello-browser",
        "Hello, 14 browser headers",
        "hello",
        (*_BOTH, *_OUR_VARIANTS),
        Load(script=("headers=browser",)),
    ),
    Scenario("flask", "JSON through Flask", "flask_app:app", _WSGI, check="json"),
    Scenario("fastapi", "JSON through FastAPI", "fastapi_app:app", _ASGI, check="json"),
    Scenario(
        "echo", "Echo of a 10 KiB POST", "echo", _BOTH, Load(script=("body=10240",)), check="echo"
    ),
    Scenario(
        "upload",
        "Upload of 10 MiB",
        "upload",
        _BOTH,
        Load(4, script=("body=10485760",)),
        check="upload",
        megabytes=10,
        judged=("rate", "cpu"),
    ),
    Scenario(
        "download",
        "Download of 10 MiB in 64 KiB pieces",
        "download",
        _BOTH,
        Load(4),
        check="download",
        megabytes=10,
        judged=("rate", "cpu"),
    ),
    Scenario(
        "sendfile",
        "Download of a 10 MiB file (wsgi.file_wrapper, pathsend)",
        "sendfile",
        (*_BOTH, "nginx"),
        Load(4),
        check="download",
        megabytes=10,
        feature="sendfile",
        judged=("rate", "cpu"),
    ),
    Scenario("stream", "Answer streamed in 100 chunks", "stream", _BOTH, Load(32), check="stream"),
    Scenario(
        "pipelined",
        "Hello, 16 requests pipelined",
        "hello",
        _BOTH,
        Load(script=("pipeline=16",)),
        check="pipelined",
        latency=False,
        judged=("rate", "cpu"),
    ),
    Scenario(
        "connections",
        "Hello, a connection for each request",
        "hello",
        (*_BOTH, "gunicorn-sync"),
        Load(script=("close=1",)),
    ),
    Scenario("workers-2", "Hello, 2 workers", "hello", _PROCESSES, workers=2),
    Scenario(
        "mixed-sleep",
        "32 connections on hello beside 4 on a view that sleeps 50 ms",
        "mixed",
        _MIXED,
        Load(32),
        kind="mixed",
        second=Load(4, "/sleep"),
        judged=("rate", "p99"),
    ),
    Scenario(
        "mixed-compute",
        "32 connections on hello beside 4 on a view that computes 50 ms",
        "mixed",
        (*_MIXED, "bare-serve:wsgi:ungated"),
        Load(32),
        kind="mixed",
        second=Load(4, "/compute"),
        judged=("rate", "p99"),
    ),
    Scenario(
        "access-log",
        "Hello, with the access log on",
        "hello",
        tuple(f"{key}{log}" for key in _LOGGING for log in ("", ":access-log")),
        judged=(),
    ),
    Scenario(
        "websocket-64",
        "WebSocket echo of 64 B",
        "asgi_apps:websocket",
        (*_ASGI, "uvicorn:wsproto"),
        Load(32),
        kind="websocket",
        check="websocket",
        message=64,
        feature="WebSocket",
    ),
    Scenario(
        "websocket-16k",
        "WebSocket echo of 16 KiB",
        "asgi_apps:websocket",
        _ASGI,
        Load(32),
        kind="websocket",
        check="websocket",
        message=16384,
        feature="WebSocket",
    ),
    Scenario("tls", "Hello over TLS", "hello", _TLS, tls=True, feature="TLS"),
    Scenario(
        "handshakes",
        "Hello over TLS, a full handshake for each request",
        "hello",
        _TLS,
        kind="probe",
        tls=True,
        probe="handshakes",
        columns=("handshake",),
        headline="handshake",
        judged=("handshake",),
        feature="TLS",
        round_seconds=2.6,
    ),
    Scenario(
        "growth",
        "CPU us per request with 1, 64 and 5,000 connections in use",
        "hello",
        _HOLDERS,
        kind="probe",
        probe="growth",
        columns=("one", "few", "many", "growth", "growth1"),
        headline="many",
        judged=("many", "growth"),
        round_seconds=6.5,
        descriptors=5100,
    ),
    Scenario(
        "events",
        "5,000 open streams of server-sent events",
        "asgi_apps:events",
        _STREAMERS,
        kind="probe",
        check="events",
        probe="events",
        columns=("full", "each", "reach", "reach_cpu"),
        headline="full",
        judged=("full", "reach"),
        round_seconds=5.0,
        descriptors=5100,
    ),
    Scenario(
        "idle-sockets",
        "5,000 idle WebSockets",
        "asgi_apps:websocket",
        _STREAMERS,
        kind="probe",
        check="websocket",
        message=64,
        probe="idle-sockets",
        columns=("full", "each"),
        headline="full",
        judged=("full",),
        feature="WebSocket",
        round_seconds=4.0,
        descriptors=5100,
    ),
    Scenario(
        "broadcast",
        "A message to 1,950 WebSockets, without and beside 50 that never read",
        "asgi_apps:room",
        _STREAMERS,
        kind="probe",
        check="room",
        probe="broadcast",
        columns=("alone", "beside", "stall"),
        headline="beside",
        judged=("alone", "beside"),
        feature="WebSocket",
        round_seconds=4.0,
        descriptors=2100,
    ),
    Scenario(
        "spread",
        "400 connections opened at once, 4 workers",
        "pid",
        tuple(key for key in _PROCESSES if key != "hypercorn"),
        kind="probe",
        check="pid",
        workers=4,
        probe="spread",
        columns=("busiest", "used"),
        headline="busiest",
        judged=("busiest",),
        round_seconds=2.5,
    ),
    Scenario(
        "flat",
        "1,000,000 requests, 16 pipelined: whether memory grows",
        "hello",
        ("bare-serve:wsgi", "bare-serve:asgi", "uvicorn"),
        Load(script=("pipeline=16",)),
        kind="probe",
        check="pipelined",
        probe="flat",
        columns=("first", "last", "grown", "done"),
        headline="last",
        judged=("last",),
        round_seconds=18.0,
        rounds=1,
    ),
    Scenario(
        "footprint",
        "Start-up, memory, connections held",
        "hello",
        _BOTH,
        Load(32),
        kind="probe",
        probe="footprint",
        columns=("startup", "idle", "loaded", "worker", "held", "per_mib"),
        headline="loaded",
        judged=("startup", "idle", "loaded", "per_mib"),
        round_seconds=2.6,
    ),
    _hostile("burst", "A burst of 2,600 pipelined requests that take 3 ms each", _BESIEGED),
    _hostile_socket("pings", "WebSocket pings of six bytes, 0.5 MB/s"),
    _hostile_socket("empty fragments", "Empty WebSocket fragments, 0.5 MB/s"),
    _hostile_socket("one-byte fragments", "WebSocket fragments of one byte, 0.5 MB/s"),
    _hostile("one-byte chunks", "An upload in chunks of one byte, up to 2.3 MB/s", _BESIEGED),
    _hostile("two-byte chunks", "An upload in chunks of two bytes, up to 2.3 MB/s", _BESIEGED),
    _hostile(
        "key updates",
        "TLS 1.3 KeyUpdates, up to 2 x 0.67 MB/s",
        tuple(key for key in _BESIEGED if BY_KEY[key].tls is not None),
        tls=True,
        feature="TLS",
        package="cryptography",
    ),
    _hostile(
        "forwarded",
        "X-Forwarded-For of 65 kB, everybody trusted",
        _FORWARDED,
        variables=(("FORWARDED_ALLOW_IPS", "*"),),
    ),
    _hostile("16 slow readers", "16 readers of 10 MiB at 1.5 kB/s", _BESIEGED, **_SLOW),
    _hostile("200 slow readers", "200 readers of 10 MiB at 1.5 kB/s", _BESIEGED, **_SLOW),
)

SECTIONS = tuple(dict.fromkeys(each.section for each in SCENARIOS if each.section))
BY_NAME = {scenario.key: scenario for scenario in SCENARIOS}
