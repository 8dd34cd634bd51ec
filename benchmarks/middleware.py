"""What middleware costs a request: `python -m benchmarks.middleware`, CPU microseconds.

What lives here: small applications, called as a server calls them, bare and with policies around
them. What must not: sockets. The CPU time of the process is measured in many brief turns. A shared
core has two speeds, which take turns of some ten milliseconds, and the slow one needs up to 1.7
times as long for whatever runs, pure Python and zlib alike. So what counts is the best turn of each
row, and the differences of those. The loop in Python has nothing of ours in it: where its median is
far above its best, the machine has others to serve, and the medians of all rows say little.
"""

from __future__ import annotations

import gc
import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any

import click

from bare_serve.middleware import wrap
from bare_serve.middleware.cors import Cors
from bare_serve.middleware.gzip import Gzip
from bare_serve.middleware.request_id import RequestId
from bare_serve.middleware.security_headers import SecurityHeaders
from bare_serve.middleware.timing import Timing
from bare_serve.middleware.trusted_host import TrustedHost

HELLO = b"hello"
JSON = b'{"rows": [' + b", ".join(b'{"id": %d, "name": "row"}' % n for n in range(400)) + b"]}"
FIELDS = [
    (b"host", b"shop.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"),
    (b"accept", b"*/*"),
    (b"accept-language", b"de,en"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"cookie", b"session=abc"),
    (b"cache-control", b"no-cache"),
]
ENVIRON: dict[str, Any] = {
    **{f"wsgi.{number}": number for number in range(12)},
    **{f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode() for name, value in FIELDS},
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.url_scheme": "http",
}
SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": FIELDS,
    "client": ("127.0.0.1", 5000),
    "extensions": {},
}


def wsgi(body: bytes) -> Callable[..., Any]:
    """Return a WSGI application that answers so."""
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [*fields])
        return [body]

    return app


def asgi(body: bytes) -> Callable[..., Any]:
    """Return an ASGI application that answers so."""
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [*fields]})
        await send({"type": "http.response.body", "body": body})

    return app


def call_wsgi(app: Callable[..., Any]) -> Callable[[], None]:
    """Return a call of it, as a server makes one."""

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None: ...

    def call() -> None:
        result = app(ENVIRON.copy(), start_response)
        for _ in result:
            pass
        close = getattr(result, "close", None)
        if close is not None:
            close()

    return call


def call_asgi(app: Callable[..., Any]) -> Callable[[], None]:
    """Return a call of it, stepped through without a loop, since it waits for nothing."""

    async def send(message: Any) -> None: ...

    def call() -> None:
        try:
            app(SCOPE.copy(), None, send).send(None)
        except StopIteration:
            pass

    return call


def compress() -> None:
    """Do what gzip has to do in any case."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    compressor.compress(JSON) + compressor.flush()


def loop() -> None:
    """Do what no change of ours makes faster or slower."""
    total = 0
    for number in range(200):
        total += number * number


FIVE = (
    RequestId(),
    Timing(),
    SecurityHeaders(),
    Cors(["https://shop.example"]),
    TrustedHost(["shop.example"]),
)
CASES: dict[str, tuple[Callable[[], None], int]] = {
    "a loop in Python": (loop, 200),
    "WSGI, bare": (call_wsgi(wsgi(HELLO)), 200),
    "WSGI, trusted-host": (call_wsgi(wrap(wsgi(HELLO), FIVE[4])), 200),
    "WSGI, request-id": (call_wsgi(wrap(wsgi(HELLO), FIVE[0])), 200),
    "WSGI, five policies of fields": (call_wsgi(wrap(wsgi(HELLO), *FIVE)), 200),
    "ASGI, bare": (call_asgi(asgi(HELLO)), 200),
    "ASGI, trusted-host": (call_asgi(wrap(asgi(HELLO), FIVE[4])), 200),
    "ASGI, request-id": (call_asgi(wrap(asgi(HELLO), FIVE[0])), 200),
    "ASGI, five policies of fields": (call_asgi(wrap(asgi(HELLO), *FIVE)), 200),
    "zlib alone, 11 kB of JSON": (compress, 40),
    "WSGI, gzip, 11 kB of JSON": (call_wsgi(wrap(wsgi(JSON), Gzip())), 40),
    "ASGI, gzip, 11 kB of JSON": (call_asgi(wrap(asgi(JSON), Gzip())), 40),
}


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the CPU microseconds of a call, for each case and round."""
    found: dict[str, list[float]] = {name: [] for name in CASES}
    for call, _ in CASES.values():
        call()
    gc.collect()
    for _ in range(rounds):
        for name, (call, number) in CASES.items():
            begun = time.process_time()
            for _ in range(number):
                call()
            found[name].append((time.process_time() - begun) / number * 1e6)
    return found


@click.command()
@click.option("--rounds", default=150, show_default=True, help="Turns of each row.")
def main(rounds: int) -> None:
    """Measure what policies cost a request, in CPU time, in turns."""
    found = measure(rounds)
    click.echo("| | best, us | median, us | best over that of the row it builds on, us |")
    click.echo("|:--|--:|--:|--:|")
    base = ""
    for name, values in found.items():
        if name.endswith("bare") or name.startswith(("a loop", "zlib")):
            base = name
        best = min(values)
        shown = "" if name == base else f"{best - min(found[base]):.1f}"
        click.echo(f"| {name} | {best:.1f} | {statistics.median(values):.1f} | {shown} |")


if __name__ == "__main__":
    main()
