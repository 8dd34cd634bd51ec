"""What is measured: a table of scenarios, each with its applications, load and servers.

The servers of a scenario are those about which it says something; the default configuration of
bare-serve is in every one. `feature` names what bare-serve may not have yet: the scenario is then
listed as not there yet. Which figures of a scenario are judged is said by `judged`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.servers import BY_KEY, Interface, Server
from benchmarks.wrk import Load

Kind = Literal["wrk", "mixed", "websocket", "footprint"]
Check = Literal["hello", "json", "echo", "upload", "download", "stream", "pipelined", "websocket"]

_WSGI = ("bare-serve:wsgi", "gunicorn-gthread", "granian:wsgi", "waitress", "fastpysgi:wsgi")
_ASGI = ("bare-serve:asgi", "uvicorn", "gunicorn-asgi", "granian:asgi", "hypercorn")
_BOTH = (*_WSGI, *_ASGI)
_OUR_VARIANTS = (
    *("bare-serve:wsgi:httptools", "bare-serve:asgi:httptools", "bare-serve:asgi:asyncio"),
)
# fastpysgi 0.6 under ASGI ends with a segmentation fault when a client leaves in the middle of
# an answer, as wrk does at its end: hello shows that, the others need not.
_EVERYBODY = (*_BOTH, *_OUR_VARIANTS, "gunicorn-sync", "fastpysgi:asgi")
_PROCESSES = tuple(key for key in _BOTH if BY_KEY[key].most_workers > 1)
_TLS = tuple(key for key in _BOTH if BY_KEY[key].tls is not None)
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

    def target(self, interface: Interface) -> str:
        return self.app if ":" in self.app else f"{interface}_apps:{self.app}"

    def chosen(self) -> list[Server]:
        return [BY_KEY[key] for key in self.servers]


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
        _BOTH,
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
        _MIXED,
        Load(32),
        kind="mixed",
        second=Load(4, "/compute"),
        judged=("rate", "p99"),
    ),
    Scenario(
        "websocket-64",
        "WebSocket echo of 64 B",
        "asgi_apps:websocket",
        _ASGI,
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
        "footprint",
        "Start-up, memory, connections held",
        "hello",
        _BOTH,
        Load(32),
        kind="footprint",
        judged=("startup", "idle", "loaded", "per_mib"),
    ),
)

BY_NAME = {scenario.key: scenario for scenario in SCENARIOS}
