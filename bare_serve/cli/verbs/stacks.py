"""`bare-serve stacks`: where each thread of each worker is at this moment.

What lives here: asking workers for their stacks, waiting for their answers, and showing the
application's frames. What must not: how stacks are written (workers/stacks.py), when they are
complete (counts/stack_request.py), how they are read and told (dumps.py).

C code in the worker writes them, even while a call in C holds the interpreter. A request on an
event loop that only waits is on no stack; its line comes from the list of requests in flight,
which Python code writes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from bare_serve.cli.verbs.command import Refused, parser, show
from bare_serve.cli.verbs.dumps import Thread, parse, thread_lines
from bare_serve.cli.verbs.looking import look
from bare_serve.cli.verbs.screen import span
from bare_serve.cli.verbs.servers import Running, send, the_one
from bare_serve.counts.records import InFlight, Worker
from bare_serve.counts.stack_request import StackRequest

_LONGEST = 1 << 20
"""Bytes that are read: more than C code writes, which is 100 threads of 100 frames."""
_PATIENCE = 2.0
"""Seconds for all workers to write; one that is stopped writes nothing."""


class WorkerStacks(NamedTuple):
    """What one worker has written."""

    worker: Worker
    pid: int
    threads: tuple[Thread, ...]
    flight: tuple[InFlight, ...]
    trouble: str
    """Why there are no stacks; empty if there are."""


def main(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    made = parser(
        "stacks",
        "Show where each thread of each worker is: the application's frames, the innermost first. "
        "Works while a worker is stuck, and harms nothing.",
    )
    made.add_argument("--worker", type=int, metavar="NUMBER", help="Only that worker.")
    made.add_argument("--all", action="store_true", help="Show the server's frames as well.")
    asked = made.parse_args(arguments[1:])
    with the_one(asked.pid, asked.pidfile) as running:
        found = gather(running, asked.worker)
    if asked.json:
        workers = [_plain(each) for each in found]
        show(json.dumps({"pid": running.pid, "workers": workers}, indent=2))
    else:
        show("\n".join(lines(found, everything=asked.all)))
    return 1 if any(each.trouble for each in found) else 0


def gather(running: Running, number: int | None = None) -> list[WorkerStacks]:
    """Ask all workers at once, or one, for their stacks.

    Raises:
        Refused: there is no worker of that number.
    """
    workers = [
        worker
        for worker in running.memory.snapshot().workers
        if number is None or worker.number == number
    ]
    if not workers:
        raise Refused("there is no worker." if number is None else f"there is no worker {number}.")
    with ExitStack() as stack:
        asked = []
        for worker in workers:
            asked.append(_Asked(running, worker))
            stack.callback(asked[-1].request.close)
        until = time.monotonic() + _PATIENCE
        while not all(each.request.is_done() for each in asked) and time.monotonic() < until:
            time.sleep(0.001)
        found = [each.told() for each in asked]
    fresh = {worker.order: worker for worker in look(running).workers}
    return [each._replace(flight=_just_written(fresh.get(each.worker.order))) for each in found]


def _just_written(worker: Worker | None) -> tuple[InFlight, ...]:
    if worker is None or worker.flight_written_for is None or worker.flight_written_for > 1.0:
        return ()
    return worker.flight


class _Asked:
    """A worker that was asked."""

    def __init__(self, running: Running, worker: Worker) -> None:
        self._worker = worker
        self._pid = pid = running.worker_pid(worker.pid)
        self.request = StackRequest(
            pid, worker.stacks_signal, lambda signum: send(running, pid, signum)
        )

    def told(self) -> WorkerStacks:
        """Return what it has written until now."""
        threads = sorted(parse(self.request.text(_LONGEST)), key=lambda each: each.rank)
        return WorkerStacks(self._worker, self._pid, tuple(threads), (), self.request.trouble)


def lines(found: Iterable[WorkerStacks], *, everything: bool) -> list[str]:
    """Return stacks as text: for each worker requests that wait, then threads, those in the
    application first."""
    text: list[str] = []
    for each in found:
        worker = each.worker
        text.append(f"worker {worker.number}, pid {each.pid or worker.pid}, {worker.state}")
        if each.trouble:
            text.append(f"  no stacks: {each.trouble}")
        serving = {request.ident: request for request in each.flight if request.ident}
        for request in each.flight:
            if not request.ident:
                where = f"\n   > {request.where}" if request.where else ""
                text.append(f"  {span(request.age)}  {request.request}{where}")
        idle = 0
        for thread in each.threads:
            busy = serving.get(thread.ident)
            if thread.rank == 2 and busy is None and not everything:
                idle += 1
                continue
            serves = "" if busy is None else f"  {span(busy.age)}  {busy.request}"
            name = "thread" if busy is None else f"thread {busy.thread}"
            text.append(f"  {name} 0x{thread.ident:016x}{serves}")
            text += thread_lines(thread, everything=everything)
        if idle:
            plural = "threads are" if idle > 1 else "thread is"
            text.append(f"  {idle} {plural} in the server itself (--all)")
        text.append("")
    return text[:-1]


def _plain(each: WorkerStacks) -> dict[str, Any]:
    return {
        "number": each.worker.number,
        "pid": each.pid,
        "trouble": each.trouble,
        "in_flight": [request._asdict() for request in each.flight],
        "threads": [
            {"ident": thread.ident, "frames": [frame._asdict() for frame in thread.frames]}
            for thread in each.threads
        ],
    }
