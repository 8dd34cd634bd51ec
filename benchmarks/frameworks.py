"""`bare_serve.bare` beside other frameworks on this server, paired: CPU time per request.

    python -m benchmarks.frameworks [--rounds 5] [--seconds 1] [--only wsgi|asgi]

What lives here: the same applications (apps/frameworks.py), each in a bare-serve with one worker,
in turns. What must not: what the figures should be. Each is the CPU time of the server's processes
over the requests that were answered; the ratio of two that took turns holds on a busy machine,
where rates measure the neighbours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.request import urlopen

from benchmarks import proc, wrk
from benchmarks.apps import frameworks
from benchmarks.process import free_port

APPS = {
    "wsgi": ("raw_wsgi", "bare_wsgi", "falcon_wsgi", "flask"),
    "asgi": ("raw_asgi", "bare", "falcon_asgi", "starlette"),
}
PATHS = {"wsgi": ("/", "/json", "/items/7"), "asgi": ("/", "/json", "/items/7", "/def")}


class Served:
    """One application in a server of its own."""

    def __init__(self, name: str) -> None:
        """Start it, and wait until it answers."""
        self.name = name
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        target = f"benchmarks.apps.frameworks:{name}"
        options = ("--bind", f"127.0.0.1:{port}", "--workers", "1", "--access-log", "off")
        command = [sys.executable, "-m", "bare_serve", target, *options]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                urlopen(self.url).read()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{name} does not start") from None
                time.sleep(0.05)

    def measure(self, path: str, seconds: int) -> float:
        """Return CPU microseconds of the server for each request."""
        before = proc.tree_cpu(self.process.pid)
        load = wrk.Load(32, path)
        found = wrk.run(load, self.url, seconds, sorted(os.sched_getaffinity(0)))
        after = proc.tree_cpu(self.process.pid)
        if found.failed:
            raise SystemExit(f"{self.name} {path}: {found.errors}")
        used = (after.user + after.system) - (before.user + before.system)
        return used / found.requests * 1e6

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def main() -> None:
    """Measure, and print a table for each interface."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--only", choices=APPS)
    args = parser.parse_args()
    wrk.require()
    for interface in [args.only] if args.only else APPS:
        with ExitStack() as stack:
            served = []
            for name in APPS[interface]:
                if hasattr(frameworks, name):
                    served.append(Served(name))
                    stack.callback(served[-1].stop)
            table(interface, served, args.rounds, args.seconds)


def table(interface: str, served: list[Served], rounds: int, seconds: int) -> None:
    """Measure each application in turns; print medians, and how ours stands to each other one."""
    ours = next(each for each in served if each.name.startswith("bare"))
    print(f"\n{interface}: CPU us/request, median of {rounds} rounds; in brackets ours / it\n")
    head = [each.name for each in served]
    print("| path | " + " | ".join(head) + " |\n| --- |" + " ---: |" * len(head))
    for path in PATHS[interface]:
        able = [each for each in served if path != "/def" or not each.name.startswith("falcon")]
        found: dict[str, list[float]] = {each.name: [] for each in able}
        for each in able:
            each.measure(path, 1)
        for number in range(rounds):
            for each in able[number % len(able) :] + able[: number % len(able)]:
                found[each.name].append(each.measure(path, seconds))
        cells = []
        for name in head:
            samples = found.get(name, [])
            if not samples:  # a framework whose async interface has no plain handlers
                cells.append("")
                continue
            ratios = [a / b for a, b in zip(found[ours.name], samples, strict=True)]
            cell = f"{statistics.median(samples):.1f}"
            cells.append(cell if name == ours.name else f"{cell} ({statistics.median(ratios):.2f})")
        print(f"| {path} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
