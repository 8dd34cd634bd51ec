"""What is measured: a table of scenarios, each with its applications, load and servers.

The servers of a scenario are those about which it says something; the default configuration of
bare-serve is in every one. What an entry may say is in scenario.py.
"""

from __future__ import annotations

from typing import Any

from benchmarks.scenario import Check, Scenario
from benchmarks.servers import BY_KEY
from benchmarks.wrk import Load

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
_BESIDE_HTTPTOOLS = (*_BOTH, "bare-serve:wsgi:httptools", "bare-serve:asgi:httptools")
_ABROAD = ("bare-serve:wsgi", "granian:wsgi", "bare-serve:asgi", "uvicorn", "granian:asgi")
OTHER_PYTHONS = ("3.12", "3.13")
_LOGGING = ("bare-serve:wsgi", "bare-serve:asgi", "uvicorn")
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


def _hostile(
    attack: str,
    title: str,
    servers: tuple[str, ...],
    app: str = "besieged",
    check: Check = "hello",
    **more: Any,
) -> Scenario:
    """Measure what another client waits for its answers, and how the server's memory grows."""
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


_BROWSER = Load(script=("headers=browser",))
_PATH_VARIES = Load(path="/items/1?q=1", script=("headers=browser", "vary=path"))
_ALL_VARIES = Load(path="/items/1?q=1", script=("headers=browser", "vary=all"))


def _logged(key: str, title: str, load: Load) -> Scenario:
    """Compare each server with itself without its log: a difference of 1 us in pairs of rounds."""
    return Scenario(
        key,
        title,
        "hello",
        tuple(f"{server}{log}" for server in _LOGGING for log in ("", ":access-log")),
        load,
        judged=(),
        least_rounds=10,
        # The seed of hashes decides where things lie: it is the same for both of a pair.
        variables=(("PYTHONHASHSEED", "0"),),
    )


def _abroad(version: str) -> tuple[Scenario, ...]:
    """Measure the small answers on another Python."""
    varied = "Hello, 14 browser headers, another path each time"
    words = (("hello", "Hello, small request", Load()), ("path-varies", varied, _PATH_VARIES))
    return tuple(
        Scenario(
            f"{key}-{version}",
            f"{title}, CPython {version}",
            "hello",
            _ABROAD,
            load,
            section="pythons",
            python=version,
        )
        for key, title, load in words
    )


_SLOW = {"judged": ("wait99",), "columns": ("worst", "wait99", "calm", "grown", "ended")}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "path-varies",
        "Hello, 14 browser headers, another path each time",
        "hello",
        _BESIDE_HTTPTOOLS,
        _PATH_VARIES,
    ),
    Scenario(
        "all-varies",
        "Hello, another path, cookie and X-Forwarded-For each time",
        "hello",
        _BESIDE_HTTPTOOLS,
        _ALL_VARIES,
    ),
    Scenario("hello", "Hello, small request", "hello", _EVERYBODY),
    Scenario(
        "hello-browser",
        "Hello, 14 browser headers",
        "hello",
        (*_BOTH, *_OUR_VARIANTS),
        _BROWSER,
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
        judged=("rate", "p99", "slow"),
        least_seconds=3,
    ),
    _logged("access-log", "Hello, with the access log on", Load()),
    _logged(
        "access-log-varies",
        "Hello, another path, cookie and X-Forwarded-For each time, with the access log on",
        _ALL_VARIES,
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
    *(scenario for version in OTHER_PYTHONS for scenario in _abroad(version)),
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

# What `--only` takes beside scenarios and sections: what the README's figures are made of.
GROUPS: dict[str, tuple[str, ...]] = {
    "readme": (
        *("path-varies", "all-varies", "hello", "stream", "mixed-compute"),
        *("access-log", "access-log-varies", "websocket-16k", "pythons"),
    )
}
SECTIONS = tuple(dict.fromkeys(each.section for each in SCENARIOS if each.section))
BY_NAME = {scenario.key: scenario for scenario in SCENARIOS}
