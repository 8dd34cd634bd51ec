"""One fast member of a room among many slow ones: `python -m benchmarks.rooms`.

A real server with one worker holds a room of `bare_serve.bare`. The slow members do not read at
all; one member speaks, and hears itself. Measured are the times from word to hearing, of one who is
alone and of one among slow members, the worker's memory, and how the slow ones were closed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.asyncio.client import ClientConnection, connect

from bare_serve.testing.process import ServerProcess
from benchmarks.wsload import opening

MIB = 1 << 20
APP = """
import os
from collections import Counter
from bare_serve.bare import Bare, Rooms

rooms = Rooms()
app = Bare()

codes = Counter()

@app.get("/")
def facts():
    return {"pid": os.getpid(), "codes": dict(codes)}

@app.websocket("/{name}")
async def chat(ws, name: str):
    await ws.accept()
    try:
        async with rooms.join(name, ws) as room:
            async for message in ws:
                room.send(message)
    finally:
        codes[ws.close_code] += 1
"""


def resident(pid: int) -> int:
    """Return bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def slow_member(address: tuple[str, int]) -> socket.socket:
    """Join, and read nothing but the handshake."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(address)
    client.sendall(opening("/slow"))
    while not client.recv(4096, socket.MSG_PEEK).endswith(b"\r\n\r\n"):
        pass
    return client


def facts(server: ServerProcess) -> dict[str, Any]:
    """Return what the application tells of itself."""
    with urlopen(f"http://{server.host}:{server.port}/") as answer:
        told: dict[str, Any] = json.load(answer)
    return told


async def speak(ws: ClientConnection, number: int, size: int) -> list[float]:
    """Say something, hear it, and so on; return milliseconds of each."""
    times = []
    for count in range(number):
        text = str(count).ljust(size, ".")
        began = time.perf_counter()
        await ws.send(text)
        while await ws.recv() != text:
            pass
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.002)
    return times


def quantiles(times: list[float]) -> str:
    """Return what a table says of times."""
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49]:7.2f} ms   p99 {cuts[98]:7.2f} ms   longest {max(times):7.2f} ms"


async def measure(server: ServerProcess, members: int, number: int, size: int) -> None:
    """Print the report."""
    url = f"ws://{server.host}:{server.port}"
    pid = facts(server)["pid"]
    async with connect(f"{url}/alone", compression=None) as ws:
        alone = await speak(ws, number, size)
    async with connect(f"{url}/slow", compression=None) as ws:
        empty = resident(pid)
        slow = [slow_member((server.host, server.port)) for _ in range(members)]
        before = peak = resident(pid)
        among: list[float] = []
        while len(among) < number:
            among += await speak(ws, number // 10, size)
            peak = max(peak, resident(pid))
        codes = facts(server)["codes"]
    for client in slow:
        client.close()
    print(f"{number} messages of {size} bytes, {members} members that do not read")
    print(f"  alone       {quantiles(alone)}")
    print(f"  among them  {quantiles(among)}")
    print(f"  their connections: {(before - empty) / MIB:.1f} MiB of the worker's memory")
    print(f"  what waits for them, at most: {(peak - before) / MIB:.1f} MiB")
    print(f"  how they were closed: {codes}")


def main() -> None:
    """Start a server, measure, and end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each message")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "app.py").write_text(APP)
        command = [sys.executable, "-m", "bare_serve", "app:app", "--bind", "127.0.0.1:0"]
        server = ServerProcess(command, cwd=place, env=dict(os.environ), scratch=place)
        try:
            server.wait_until_ready()
            asyncio.run(measure(server, options.members, options.messages, options.size))
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
