"""Files by `--static` beside nginx, paired: CPU microseconds per request, and their ratio.

    python -m benchmarks.static_files [--rounds 5] [--seconds 3] [--only "10 KiB"]

What lives here: nginx and bare-serve over one directory, in turns. What must not: what the figures
should be (the README of this folder says how they are read).

The rate on one core is what a core's second pays for, so the ratio of rates is nginx's CPU time per
request over ours; it holds on a busy machine as well, where rates measure the neighbours. nginx has
sendfile and tcp_nopush, no log, and its own defaults.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from benchmarks import proc, wrk
from benchmarks.machine import available_cores, pinned, share_out
from benchmarks.peers import SYSTEM_PATHS
from benchmarks.process import free_port

SIZES = {
    "10 KiB": (10 << 10, wrk.Load(32, "/assets/0.css")),
    "10 MiB": (10 << 20, wrk.Load(4, "/assets/1.css")),
}
APPS = """
def wsgi(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""
NGINX = """
daemon off; {user}worker_processes 1; pid {scratch}/pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    types {{ text/css css; }}
    default_type application/octet-stream;
    client_body_temp_path {scratch}/b; proxy_temp_path {scratch}/p; fastcgi_temp_path {scratch}/f;
    uwsgi_temp_path {scratch}/u; scgi_temp_path {scratch}/s;
    server {{ listen 127.0.0.1:{port}; location /assets/ {{ alias {top}/; }} }}
}}
"""
CHANCE = "nginx once more"


@contextmanager
def running(command: list[str], port: int, place: Path) -> Iterator[int]:
    """Run a server until the block ends; give its pid once it answers."""
    process = subprocess.Popen(command, cwd=place, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/assets/0.css") as answer:
                assert answer.status == 200
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{command[0]} does not serve")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def commands(place: Path, top: Path) -> dict[str, tuple[list[str], int]]:
    """Each server's command and port."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATHS}")
    if nginx is None:
        raise SystemExit("nginx is not installed")
    (place / "files_app.py").write_text(APPS)
    found = {}
    for name in ("nginx", CHANCE):
        port, scratch = free_port(), place / name.replace(" ", "-")
        scratch.mkdir()
        user = "user root; " if os.getuid() == 0 else ""
        text = NGINX.format(user=user, scratch=scratch, port=port, top=top)
        (scratch / "nginx.conf").write_text(text)
        found[name] = [nginx, "-e", "stderr", "-c", str(scratch / "nginx.conf")], port
    for name in ("wsgi", "asgi"):
        port = free_port()
        line = [sys.executable, "-m", "bare_serve", f"files_app:{name}", "--no-access-log"]
        found[name] = [*line, "--static", f"/assets={top}", "--bind", f"127.0.0.1:{port}"], port
    return found


def cpu_per_request(pid: int, load: wrk.Load, url: str, seconds: int, cores: list[int]) -> float:
    """CPU microseconds of the server's processes for each request of a load."""
    before = on_core(pid)
    result = wrk.run(load, url, seconds, cores)
    if result.failed or not result.requests:
        raise SystemExit(f"{url}: {result.errors}")
    return (on_core(pid) - before) / 1000 / result.requests


def on_core(root: int) -> int:
    """Nanoseconds for which the threads of a server have run; the scheduler counts, not a tick."""
    found = 0
    for pid in proc.tree_pids(root):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += int((task / "schedstat").read_text().split()[0])
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", choices=SIZES, help="one size of files")
    given = parser.parse_args()
    wrk.require()
    cores = share_out(available_cores(), 1)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-static-")))
        top = place / "top"
        top.mkdir()
        for number, (size, _) in enumerate(SIZES.values()):
            (top / f"{number}.css").write_bytes(os.urandom(size))
        time.sleep(2.1)  # so that the files are not of this moment
        servers = {}
        with pinned(cores.server):
            for name, (command, port) in commands(place, top).items():
                servers[name] = stack.enter_context(running(command, port, place)), port
        print("| file | server | CPU us a request | rate of nginx | between rounds |")
        print("| --- | --- | ---: | ---: | --- |")
        for title, (_, load) in SIZES.items():
            if given.only not in (None, title):
                continue
            rounds: dict[str, list[float]] = {name: [] for name in servers}
            for turn in range(given.rounds + 1):
                for name, (pid, port) in servers.items():
                    url = f"http://127.0.0.1:{port}"
                    seconds = given.seconds if turn else 1
                    spent = cpu_per_request(pid, load, url, seconds, [*cores.load])
                    if turn:  # the first one warms up
                        rounds[name].append(spent)
            for name, spent in rounds.items():
                ratios = [a / b for a, b in zip(rounds["nginx"], spent, strict=True)]
                print(
                    f"| {title} | {name} | {statistics.median(spent):.1f} "
                    f"| {statistics.median(ratios):.2f} | {min(ratios):.2f}-{max(ratios):.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
