"""Makes the same nineteen mistakes with several servers, and writes what each says of them.

`python -m tools.mistakes` runs bare-serve and those peers that the benchmarks have installed
(benchmarks/.peers, made by `python -m benchmarks peers`; --bin names another place), and writes
docs/mistakes.md; with `--show KIND` it prints what was written in full, for the kinds that contain
the word, and leaves the file alone.

The mistakes are those of tests/cli/test_mistakes.py; for a peer each is made in its own terms. A
server that runs in spite of the mistake is sent one request, since some say it only then.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.peers import PLACE
from tests.cli.test_mistakes import MISTAKES, SHOP
from tests.support import clean_environment

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "mistakes.md"
PATIENCE: Final = 8.0
"""Seconds for a server to end by itself."""
QUIET: Final = 0.7
"""Seconds without output after which a server that goes on has said what it says."""
LONGEST: Final = 150
"""Characters of a line in the table."""

ASGI_SHOP = """
number = 1

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

def create_app():
    return app
"""
_OTHER = """
import socket, time
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    time.sleep(3600)
"""
_NOISE = re.compile(
    r"\bINFO\b|^Traceback|^\d+: |^$|Shutting down|Reason: |Try '|^See "
    r"|^[Uu]sage: |^[╭╰]|^!!!$|Worker \(pid|Unexpected exit|^Process |another exception occurred"
    r"|direct cause of|^[Ss]tack back|^What remains"
)
"""What tells nothing of a mistake: frames, farewells, the line of usage."""
_STAMP = re.compile(r"^(\[[^\]]*\]\s*)+|^(INFO|ERROR|WARNING|CRITICAL):\s+|^\S+: error: ")


class Peer(NamedTuple):
    """A server, and how each mistake is made with it; a kind that is not there cannot be."""

    name: str
    address: str
    """Where it listens."""
    shop: str
    ways: dict[str, str]
    files: dict[str, dict[str, str]]
    environ: dict[str, dict[str, str]]


def _targets(flags: str = "") -> dict[str, str]:
    """Return the mistakes that every server takes in the same words."""
    return {
        "a module that is not there": f"{flags} shopp:app",
        "an attribute that is not there": f"{flags} shop:ap",
        "a package that is missing": f"{flags} needs:app",
        "an import that raises": f"{flags} raises:app",
        "a target that is no application": f"{flags} shop:number",
        "a factory that is not said to be one": f"{flags} shop:create_app",
        "no application at all": flags,
        "a flag that is mistyped": f"{flags} --wokers 2 shop:app",
        "a value of another kind": f"{flags} --workers two shop:app",
    }


GUNICORN: Final = Peer(
    "gunicorn", "-b 127.0.0.1:{free}", SHOP,
    _targets() | {
        "flags of another server": "--host 0.0.0.0 --reload-dir . --no-date-header shop:app",
        "a key that is mistyped": "-c c.py shop:app",
        "keys of another server": "-c c.py shop:app",
        "a file that is malformed": "-c c.py shop:app",
        "a file in another language": "-c c.toml shop:app",
        "a variable that is mistyped": "shop:app",
        "an address in use": "shop:app -b 127.0.0.1:{port}",
        "an address that is not there": "shop:app -b unix:no/such/x.sock",
        "a certificate that is not there": "shop:app --certfile no.pem",
        "a user that is not there": "shop:app --user nosuchuser",
    },
    {
        "a key that is mistyped": {"c.py": "# settings\nworker = 2\n"},
        "keys of another server": {"c.py": "timeout_keep_alive = 30\naccess_log = False\n"},
        "a file that is malformed": {"c.py": "workers = \n"},
        "a file in another language": {"c.toml": "workers = 2\n"},
    },
    {"a variable that is mistyped": {"GUNICORN_CMD_ARG": "--workers 2"}},
)  # fmt: skip
UVICORN: Final = Peer(
    "uvicorn", "--port {free}", ASGI_SHOP,
    _targets() | {
        "flags of another server": "-k gevent --daemon --backlog 9 shop:app",
        "a variable that is mistyped": "shop:app",
        "an address in use": "shop:app --port {port}",
        "an address that is not there": "shop:app --uds no/such/x.sock",
        "a certificate that is not there": "shop:app --ssl-certfile no.pem",
    },
    {},
    {"a variable that is mistyped": {"UVICORN_WORKRES": "2"}},
)  # fmt: skip
GRANIAN: Final = Peer(
    "granian", "--port {free}", ASGI_SHOP,
    _targets("--interface asgi") | {
        "flags of another server": "--interface asgi -k gevent --daemon --backlog 9 shop:app",
        "a variable that is mistyped": "--interface asgi shop:app",
        "an address in use": "--interface asgi shop:app --port {port}",
        "an address that is not there": "--interface asgi shop:app --uds no/such/x.sock",
        "a certificate that is not there":
            "--interface asgi shop:app --ssl-certificate no.pem --ssl-keyfile no.pem",
    },
    {},
    {"a variable that is mistyped": {"GRANIAN_WORKRES": "2"}},
)  # fmt: skip
HYPERCORN: Final = Peer(
    "hypercorn", "-b 127.0.0.1:{free}", ASGI_SHOP,
    _targets() | {
        "flags of another server": "--host 0.0.0.0 --reload-dir . --no-date-header shop:app",
        "a key that is mistyped": "--config c.toml shop:app",
        "keys of another server": "--config c.toml shop:app",
        "a file that is malformed": "--config c.toml shop:app",
        "a file in another language": "--config gunicorn.conf.py shop:app",
        "an address in use": "shop:app -b 127.0.0.1:{port}",
        "an address that is not there": "shop:app -b unix:no/such/x.sock",
        "a certificate that is not there": "shop:app --certfile no.pem --keyfile no.pem",
        "a user that is not there": "shop:app --user nosuchuser",
    },
    {
        "a key that is mistyped": {"c.toml": "# settings\nworker = 2\n"},
        "keys of another server": {"c.toml": "timeout = 30\naccess_log = '-'\n"},
        "a file that is malformed": {"c.toml": "workers = \n"},
        "a file in another language": {"gunicorn.conf.py": "workers = 2\n"},
    },
    {},
)  # fmt: skip
OURS: Final = Peer(
    "bare-serve", "--port {free}", SHOP,
    {kind: each.args for kind, each in MISTAKES.items()},
    {kind: dict(each.files) for kind, each in MISTAKES.items()},
    {kind: dict(each.environ) for kind, each in MISTAKES.items()},
)  # fmt: skip
PEERS: Final = (OURS, GUNICORN, UVICORN, GRANIAN, HYPERCORN)


class Told(NamedTuple):
    """What came of one mistake."""

    code: int | None
    """The exit code; None: it ran on."""
    seconds: float
    output: str
    answer: str
    """What a request got from a server that ran on."""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.output.splitlines() if line.strip()]

    def frames(self, directory: Path) -> tuple[int, int]:
        """Return the frames in its tracebacks: all, and those not of the application's files."""
        files = re.findall(r'File "([^"]+)", line', self.output)
        return len(files), sum(not file.startswith(str(directory)) for file in files)

    @property
    def said(self) -> list[str]:
        """The first line that tells something, and the last one."""
        lines = [line for line in self.lines if not _NOISE.search(line)]
        if re.search("[Tt]raceback|[Bb]acktrace|^usage: ", self.output, re.MULTILINE):
            lines = [line for line in lines if not line.startswith(" ")]
        told = [_STAMP.sub("", line.strip()).strip(" │") for line in lines]
        return [*dict.fromkeys((told[0], told[-1]))] if told else []


@contextlib.contextmanager
def holding_a_port() -> Iterator[int]:
    """Yield a port that another program listens on."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "other.py").write_text(_OTHER)
        other = subprocess.Popen([sys.executable, "other.py"], cwd=scratch, stdout=subprocess.PIPE)
        try:
            assert other.stdout is not None
            yield int(other.stdout.readline())
        finally:
            other.kill()
            other.communicate()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int) -> str:
    """Return what a request gets, in words."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/")
        return f"answers {connection.getresponse().status}"
    except (OSError, http.client.HTTPException):
        return "answers nothing"
    finally:
        connection.close()


def make(peer: Peer, kind: str, directory: Path, taken: int, bins: Path) -> Told:
    """Make one mistake with one server; `bins` has the peers' programs."""
    (directory / "empty").mkdir()
    (directory / "shop.py").write_text(peer.shop)
    (directory / "needs.py").write_text("import no_such_package\n")
    (directory / "raises.py").write_text("app = {}['SECRET']\n")
    for name, text in peer.files.get(kind, {}).items():
        (directory / name).write_text(text)
    free = free_port()
    args = peer.ways[kind].format(port=taken, free=free).split()
    flag, _, value = peer.address.format(free=free).partition(" ")
    if not {"-b", "--bind", "--port", "--uds"} & {*args}:
        args += [flag, value]
    program = [sys.executable, "-m", "bare_serve"] if peer is OURS else [str(bins / peer.name)]
    env = clean_environment(peer.environ.get(kind))
    env["PYTHONWARNINGS"] = "ignore"
    where = directory / "empty" if kind == "no application at all" else directory
    if peer is OURS:
        where = directory
    log = directory.with_suffix(".log")
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, *args], cwd=where, env=env, stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    answer = ""
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        seconds = time.monotonic() - begun
        code = process.poll()
        if code is None:
            answer = ask(free)
            time.sleep(QUIET)
            said = log.read_bytes()
        else:
            said = log.read_bytes()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.unlink()
    return Told(code, seconds, said.decode("utf-8", "replace"), answer)


def installed(bins: Path) -> Iterator[Peer]:
    """Yield the servers that are there."""
    for peer in PEERS:
        if peer is OURS or (bins / peer.name).exists():
            yield peer
        else:
            print(f"{peer.name} is not in {bins}: python -m benchmarks peers installs it")


def versions(bins: Path) -> str:
    """Return the peers' names and versions."""
    names = [peer.name for peer in PEERS if peer is not OURS]
    source = "import importlib.metadata, sys\nfor n in sys.argv[1:]: " + (
        "print(n, importlib.metadata.version(n))"
    )
    done = subprocess.run(
        [str(bins / "python"), "-c", source, *names], capture_output=True, text=True, check=False
    )
    return ", ".join(done.stdout.splitlines())


def row(peer: Peer, told: Told | None, directory: Path) -> str:
    """Return a line of a table."""
    if told is None:
        return f"| {peer.name} | | | | | it has nothing like it |"
    frames, others = told.frames(directory)
    said = " ... ".join(f"`{_shown(line, directory)}`" for line in told.said)
    code = str(told.code) if told.code is not None else f"runs, {told.answer}"
    return (
        f"| {peer.name} | {code} | {told.seconds:.1f} | {len(told.lines)} "
        f"| {f'{others} of {frames}' if frames else ''} | {said or 'nothing of it'} |"
    )


def _shown(line: str, directory: Path) -> str:
    """Return a line as a cell of the table has it."""
    for path, instead in ((sys.executable, "python"), (str(directory), "/srv/shop")):
        line = line.replace(path, instead)
    line = re.sub(r"\bpid \d+", "pid 4711", line)
    line = re.sub(r"(127\.0\.0\.1\W{1,3}|--port )\d{4,5}", r"\g<1>8000", line)
    line = line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
    return line.replace("|", "\\|").replace("`", "'")


_HEAD = """# Mistakes, told by several servers

Made by `python -m tools.mistakes`, which makes the same mistakes with each server, in its own
terms: {versions}. bare-serve's part is a test: `tests/cli/test_mistakes.py`.

The exit code, the seconds until the end, the lines that are written, the frames of tracebacks that
are not of the application's files, and what is said: the first line and the last one that tell
something, without frames, farewells and what is logged at each start, shortened. A server that runs
in spite of the mistake is sent one request.

In one case another server does more than tell: uvicorn serves a factory that it recognises, with a
warning. bare-serve wants it said, since the same name may be meant otherwise tomorrow.
"""
_TABLE = """
| | exit code | s | lines | frames of others | says |
| --- | --- | ---: | ---: | ---: | --- |
"""


def main() -> None:
    """Make all mistakes with all servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", metavar="KIND", help="print what is said of these, in full")
    parser.add_argument("--bin", type=Path, default=PLACE / "bin", help="where the peers are")
    options = parser.parse_args()
    peers = [*installed(options.bin)]
    page = [_HEAD.format(versions=versions(options.bin))]
    with holding_a_port() as taken:
        for kind in MISTAKES:
            if options.show is not None and options.show not in kind:
                continue
            page.append(f"\n## {kind[0].upper()}{kind[1:]}\n{_TABLE}")
            for peer in peers:
                with tempfile.TemporaryDirectory(prefix="mistake-") as scratch:
                    directory = Path(scratch) / "shop"
                    directory.mkdir()
                    told = None
                    if kind in peer.ways:
                        told = make(peer, kind, directory, taken, options.bin)
                    page.append(row(peer, told, directory) + "\n")
                    if told is not None and options.show is not None:
                        print(f"==== {kind}: {peer.name}\n{told.output}")
                    print(page[-1], end="", flush=True)
    if options.show is None:
        PAGE.write_text("".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
