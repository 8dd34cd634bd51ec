"""Two processes that open connections, or ask for little, without end; another client is answered.

The waits asserted are generous, for a machine that is busy with other things. On an idle one with
two cores they are some ten milliseconds.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hurt import storm
from tests.hurt.crowd import Process, latencies
from tests.hurt.floods import worst_wait
from tests.support import eventually, serve

HERE = Path(__file__).parent
MIB = 1 << 20
SECONDS = 1.0
LONGEST_WAIT = 1.0
SERVERS = {
    "wsgi": ("hurt_app:wsgi_app",),
    # What serves WebSockets would be imported in the middle of it, which takes longer than a storm.
    "asgi, uvloop": ("hurt_app:asgi_app", "--ws", "off", "--loop", "uvloop"),
    "asgi, asyncio": ("hurt_app:asgi_app", "--ws", "off", "--loop", "asyncio"),
}


@pytest.mark.parametrize("kind", [*storm.KINDS, *storm.REPEATED])
@pytest.mark.parametrize(
    "server", ["wsgi", "asgi, uvloop", pytest.param("asgi, asyncio", marks=pytest.mark.long)]
)
def test_a_storm_keeps_nobody_waiting(server: str, kind: str) -> None:
    options = (*SERVERS[server], "--no-access-log", "--workers", "1")
    with serve(*options, cwd=HERE) as served:
        worker = Process(served.workers[0])
        latencies(served.address, 20)  # warm
        worker.settle()
        descriptors, before = worker.descriptors, worker.memory
        worker.forget_peak()
        command = [sys.executable, storm.__file__, str(served.address[1]), kind, str(SECONDS)]
        storms = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        try:
            with socket.create_connection(served.address, timeout=60) as kept:
                wait = worst_wait(lambda: kept, SECONDS)
        finally:
            told = [each.communicate(timeout=60)[0] for each in storms]
        print(f"{server}, {kind}: {wait * 1000:.0f} ms beside {sum(map(int, told))}")
        assert all(int(each) > 10 for each in told), "they have been there"
        assert wait < LONGEST_WAIT
        assert worker.peak - before < 8 * MIB
        eventually(lambda: worker.descriptors <= descriptors, "nothing stays")
        assert served.workers == [int(worker._proc.name)], "the worker has outlived it"
