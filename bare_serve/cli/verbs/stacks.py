"""`bare-serve stacks`: where each thread of each worker is at this moment.

What lives here: asking workers for their stacks, waiting for the end of the answer, and showing the
application's frames. What must not: how stacks are written (workers/stacks.py), how they are read
and told (dumps.py).

C code in the worker writes them, even while a call in C holds the interpreter. A request on an
event loop that only waits is on no stack; its line comes from the list of requests in flight,
which Python code writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bare_serve.cli.verbs.command import Refused, parser, show
from bare_serve.cli.verbs.dumps import Thread, parse, thread_lines
from bare_serve.cli.verbs.looking import look
from bare_serve.cli.verbs.screen import span
from bare_serve.cli.verbs.servers import Running, send, the_one
from bare_serve.counts.layout import STACKS
from bare_serve.counts.records import InFlight, Worker
from bare_serve.counts.snapshot import Unreadable, descriptor_of

_LONGEST = 1 << 20
"""Bytes that are read: more than C code writes, which is 100 threads of 100 frames."""
_PATIENCE = 2.0
"""Seconds for a worker to write; one that is stopped writes nothing."""


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
    """Ask all workers, or one, for their stacks.

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
    found = [_stacks(running, worker) for worker in workers]
    fresh = {worker.order: worker for worker in look(running).workers}
    return [each._replace(flight=_just_written(fresh.get(each.worker.order))) for each in found]


def _just_written(worker: Worker | None) -> tuple[InFlight, ...]:
    if worker is None or worker.flight_written_for is None or worker.flight_written_for > 1.0:
        return ()
    return worker.flight


def _stacks(running: Running, worker: Worker) -> WorkerStacks:
    pid = running.worker_pid(worker.pid)
    nothing = WorkerStacks(worker, pid, (), (), "")
    if not pid:
        return nothing._replace(trouble="its process has ended")
    if not worker.stacks_signal:
        text = "the application has taken the signal that asks for stacks"
        return nothing._replace(trouble=text)
    try:
        fd = os.open(descriptor_of(pid, STACKS), os.O_RDWR | os.O_CLOEXEC)
    except (Unreadable, FileNotFoundError):
        return nothing._replace(trouble="it has closed the memory that stacks are written to")
    except PermissionError:
        return nothing._replace(trouble="only root may look into it, as it has changed its user")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        text = _dump(running, pid, fd, worker.stacks_signal)
    finally:
        os.close(fd)
    if not text:
        state = "is stopped" if _state(pid) in ("T", "t") else "does not answer"
        return nothing._replace(trouble=f"its process {state}")
    return nothing._replace(threads=tuple(sorted(parse(text), key=lambda each: each.rank)))


def _dump(running: Running, pid: int, fd: int, signum: int) -> str:
    """Have a process write its stacks, and return them once they are complete.

    While a thread is in the handler the signal is blocked in it. So the end is when something has
    been written, none is pending, and no thread blocks it that did not do so before.
    """
    os.ftruncate(fd, 0)
    bit = 1 << (signum - 1)
    before = {task for task, mask, _ in _masks(pid) if mask & bit}
    if not send(running, pid, signum):
        return ""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        time.sleep(0.001)
        if not os.fstat(fd).st_size:
            continue
        now = [*_masks(pid)]
        if not any(waits & bit or (mask & bit and task not in before) for task, mask, waits in now):
            break
    return os.pread(fd, _LONGEST, 0).decode("utf-8", "replace")


def _masks(pid: int) -> Iterable[tuple[str, int, int]]:
    """Yield each thread, the signals it blocks, and those that wait for it or for the process."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:
        with suppress(OSError, KeyError, ValueError):
            text = Path(f"/proc/{pid}/task/{task}/status").read_text(errors="replace")
            fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            waits = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
            yield task, int(fields["SigBlk"], 16), waits


def _state(pid: int) -> str:
    with suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[0]
    return ""


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
