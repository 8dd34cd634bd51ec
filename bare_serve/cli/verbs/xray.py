"""`bare-serve xray`: an x-ray of requests, attached to a server that runs.

What lives here: giving the order to the workers, putting off its end while records are read, taking
it back, showing what comes. What must not: how an order and records stand in memory
(counts/xray_order.py), what workers do for it (workers/xray_attached.py).

An order ends by itself soon after this command has stopped to read: killed, stopped, or held up by
its output. So nothing here can keep a worker from serving as before.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from bare_serve.cli.verbs.command import Misused, Refused, flush, parser, show, write
from bare_serve.cli.verbs.servers import Running, is_there, send, the_one
from bare_serve.counts.layout import LONGEST_XRAY
from bare_serve.counts.records import Worker
from bare_serve.counts.snapshot import Unreadable
from bare_serve.counts.xray_order import LEASE, MOST_REQUESTS, Order, Orders, RingReader
from bare_serve.logs import console
from bare_serve.xray.text import MARKS, render
from bare_serve.xray.trace import Block, Step

_LOOK: Final = 0.05
"""Seconds between two looks for records."""
_AGAIN: Final = 0.5
"""Seconds between two looks at the workers."""
_BEGUN_BY: Final = LEASE + 1.0
"""Seconds for a worker to begin: an order of one that was killed may go on until then."""
_ENDED_BY: Final = 2.0
_MOST_SECONDS: Final = 86400.0


def main(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    made = parser(
        "xray",
        "Show requests of a server that runs, step by step: what came, what the application was "
        "handed, what it did, what left. Without a restart, on open connections, too; afterwards "
        "the server serves as before. Values of harmless headers are shown, of all others the "
        "length.",
    )
    made.add_argument(
        "--requests", type=int, default=20, metavar="N", help="End after so many; 20 by default."
    )
    made.add_argument(
        "--seconds", type=float, default=60.0, metavar="S",
        help="End after this time; 60 by default.",
    )  # fmt: skip
    made.add_argument(
        "--filter", default="", metavar="PATTERN", help="Which requests, such as 'GET /orders*'."
    )
    made.add_argument("--worker", type=int, metavar="NUMBER", help="Only that worker.")
    made.add_argument("--full", action="store_true", help="Show each key of environ and scope.")
    made.add_argument(
        "--bodies", action="store_true",
        help="Show the beginning of bodies, without values whose names are those of secrets.",
    )  # fmt: skip
    made.add_argument(
        "--layers", action="store_true",
        help="Show which application wraps which, and the time of each.",
    )  # fmt: skip
    asked = made.parse_args(arguments[1:])
    order = _order(asked)
    if not 0.1 <= asked.seconds <= _MOST_SECONDS:
        raise Misused("--seconds: from 0.1 to 86400.")
    with the_one(asked.pid, asked.pidfile) as running:
        viewer = _Viewer(running, order, asked.worker, as_json=asked.json)
        previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            viewer.run(asked.seconds)
        finally:
            viewer.end()
            signal.signal(signal.SIGTERM, previous)
    return viewer.conclude(asked.seconds)


def _order(asked: Any) -> Order:
    if not 1 <= asked.requests <= MOST_REQUESTS:
        raise Misused(f"--requests: from 1 to {MOST_REQUESTS}.")
    pattern = ""
    if asked.filter:
        from bare_serve.config.kinds import XRAY_FILTER  # as much as all the rest

        try:
            pattern = XRAY_FILTER.parse(asked.filter)
        except ValueError:
            raise Misused(f"--filter: {asked.filter!r} is not {XRAY_FILTER.accepts}.") from None
    order = Order(asked.requests, pattern, asked.full, asked.bodies, asked.layers)
    if len(order.to_bytes()) > LONGEST_XRAY:
        raise Misused("--filter: it is too long.")
    return order


class _Viewer:
    """One order, and what comes of it."""

    def __init__(
        self, running: Running, order: Order, number: int | None, *, as_json: bool
    ) -> None:
        self._running = running
        self._wanted = order.requests
        self._only = number
        self._orders = Orders(running.memory, order)
        self._as_json = as_json
        self._style = {
            "colour": console.wants_colour(sys.stdout),
            "arrows": console.is_unicode_terminal(sys.stdout),
        }
        self._given: dict[int, Worker] = {}
        """Workers that have been given the order, by the number of their start."""
        self._readers: dict[int, RingReader] = {}
        self._shown = self._lost = self._left_out = 0
        self._begun = False
        """Some worker has obeyed."""
        self._trouble = ""
        """Why it ended early."""
        self._remain = False
        """Some worker has not ended it."""

    def run(self, seconds: float) -> None:
        """Show what comes until there is enough, the time is over, or nothing can come.

        Raises:
            Refused: no worker obeys.
        """
        began = time.monotonic()
        again = began
        while self._shown < self._wanted and not self._trouble:
            now = time.monotonic()
            if now >= again:
                again = now + _AGAIN
                self._look_at_workers(now - began)
            self._open_rings()
            self._read()
            if now - began >= seconds:
                break
            time.sleep(_LOOK)

    def _look_at_workers(self, passed: float) -> None:
        running = self._running
        if not is_there(running):
            self._trouble = "The server has ended."
            return
        wanted = [
            each for each in running.memory.snapshot().workers if self._only in (None, each.number)
        ]
        workers = [each for each in wanted if each.state in ("serving", "leaving")]
        is_one_coming = any(each.state == "starting" for each in wanted)
        if not workers and (self._begun or (passed < _BEGUN_BY and is_one_coming)):
            return
        if not self._given:
            self._refuse_if_nothing_can_come(workers)
        active = 0
        for worker in workers:
            reader = self._readers.get(worker.order)
            if reader is not None and reader.is_over:
                continue  # it has shown all that was asked for, or it found nobody that reads
            active += 1
            self._given[worker.order] = worker
            if self._orders.give(worker.row):
                self._tell(worker)
        if self._readers and not active and not is_one_coming:
            self._trouble = "The workers have ended it: this command has not read for seconds."
        elif not self._readers and passed > _BEGUN_BY:
            raise Refused(
                "no worker has begun: they run no Python code, another x-ray is attached, or the "
                "log of the server says why."
            )

    def _refuse_if_nothing_can_come(self, workers: Sequence[Worker]) -> None:
        if not workers:
            which = "no worker" if self._only is None else f"no worker {self._only}"
            raise Refused(f"there is {which} that serves.")
        if not any(self._orders.is_offered(each.row) for each in workers):
            raise Refused(
                "the server shows its requests already (--xray or --demo), or the system has no "
                "memory to show them in."
            )

    def _open_rings(self) -> None:
        for order, worker in self._given.items():
            if order not in self._readers and self._orders.is_obeyed(worker.row):
                self._open(worker)

    def _open(self, worker: Worker) -> None:
        pid = self._running.worker_pid(worker.pid)
        try:
            self._readers[worker.order] = RingReader(pid, self._orders.number)
        except PermissionError:
            raise Refused(
                f"only root may look into worker {worker.number}, which has changed its user."
            ) from None
        except (Unreadable, OSError):  # it has just ended
            return
        if not self._begun and console.is_terminal(sys.stderr):
            console.say("Attached. Ctrl-C ends it.\n")
        self._begun = True

    def _tell(self, worker: Worker) -> None:
        """Have a worker look at once, and not at its next tick."""
        pid = self._running.worker_pid(worker.pid)
        if pid and worker.look_signal:
            send(self._running, pid, worker.look_signal)

    # ------------------------------------------------------------------ what comes

    def _read(self) -> None:
        for order, reader in self._readers.items():
            for record in reader.read():
                block = _block(record)
                if block is not None and self._shown < self._wanted:
                    self._show(self._given[order], block)

    def _show(self, worker: Worker, block: Block) -> None:
        self._shown += block.is_last
        if self._as_json:
            show(json.dumps(_plain(worker, block)))
        else:
            place = f"worker {worker.number} (pid {worker.pid})"
            at = next((n for n, each in enumerate(block.facts, 1) if each.endswith(" ms")), 0)
            facts = (*block.facts[:at], place, *block.facts[at:])
            write(render(block._replace(facts=facts), **self._style))
        flush()

    # ------------------------------------------------------------------ the end

    def end(self) -> None:
        """Take the order back, and wait a moment until all workers serve as before."""
        for worker in self._given.values():
            self._orders.take_back(worker.row)
        if is_there(self._running):
            for worker in self._given.values():
                if self._orders.is_obeyed(worker.row):
                    self._tell(worker)
        until = time.monotonic() + _ENDED_BY
        while self._still_obeyed() and time.monotonic() < until:
            time.sleep(_LOOK / 5)
        self._remain = self._still_obeyed()
        for reader in self._readers.values():
            self._lost += reader.dropped
            self._left_out += reader.left_out
            reader.close()

    def _still_obeyed(self) -> bool:
        return any(self._orders.is_obeyed(each.row) for each in self._given.values())

    def conclude(self, seconds: float) -> int:
        """Say how it ended; return the exit code."""
        if self._as_json:
            counts = {"shown": self._shown, "too_many": self._left_out, "lost": self._lost}
            show(json.dumps({"summary": counts}))
        said = [self._trouble] if self._trouble and self._shown < self._wanted else []
        if not self._shown and not said:
            said.append(f"No request that was asked for came to its end within {seconds:g} s.")
        if self._left_out:
            said.append(f"{self._left_out} more were too many to show: 20 a second of a worker.")
        if self._lost:
            said.append(f"{self._lost} parts of requests were lost: they were read too slowly.")
        if self._remain:
            said.append("Some workers have not looked yet; for them it ends as soon as they do.")
        if said:
            console.say("".join(f"{each}\n" for each in said))
        return 0 if self._shown else 1


def _block(record: Any) -> Block | None:
    """Return a record as a block; None for what no worker of ours has written."""
    try:
        title, facts, steps, layers, is_last = record
        made = [
            Step(float(at), mark, str(name), str(text))
            for at, mark, name, text in steps
            if mark in MARKS
        ]
        return Block(
            str(title), tuple(map(str, facts)), made, tuple(map(str, layers)), bool(is_last)
        )
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _plain(worker: Worker, block: Block) -> dict[str, Any]:
    return {
        "worker": worker.number,
        "pid": worker.pid,
        "title": block.title,
        "facts": block.facts,
        "complete": block.is_last,
        "steps": [step._asdict() for step in block.steps],
        "layers": block.layers,
    }
