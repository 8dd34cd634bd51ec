"""`bare-serve reload`, `replace N` and `stop`: asking a master, and waiting for what comes of it.

What lives here: the signal or the order, and the outcome as the history tells it. What must not:
what the master then does (supervision/).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from bare_serve.cli.verbs.command import NoServer, Refused, parser, show
from bare_serve.cli.verbs.servers import Running, is_zombie, send, started_at, the_one
from bare_serve.counts import layout
from bare_serve.counts.descriptors import Unreadable, open_memory
from bare_serve.counts.records import Event, Snapshot

_LOOK = 0.02
"""Seconds between two looks."""
_ANSWER = 5.0
"""Seconds for the master to take an order."""

_TEXTS = {
    "reload": "Have every worker replaced, as HUP does, and wait for the outcome. Ends with 0 if "
    "all workers are new, 1 if the reload failed: then the workers there were go on.",
    "replace": "Have one worker replaced: its successor is ready before it is asked to leave.",
    "stop": "Stop a server, as TERM does, and wait until it has ended.",
}


class Outcome(dict[str, object]):
    """What came of it: `verb`, `pid`, `done` (None if nobody waited), `text`."""


def main(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    verb = arguments[0]
    made = parser(verb, _TEXTS[verb], first="NUMBER" if verb == "replace" else "")
    made.add_argument("--no-wait", action="store_true", help="Ask, and do not wait.")
    if verb == "stop":
        made.add_argument("--now", action="store_true", help="At once, as QUIT does.")
    asked = made.parse_args(arguments[1:])
    with the_one(asked.pid, asked.pidfile) as running:
        if verb == "reload":
            outcome = _reload(running, wait=not asked.no_wait)
        elif verb == "replace":
            outcome = _replace(running, asked.number, wait=not asked.no_wait)
        else:
            outcome = _stop(running, wait=not asked.no_wait, now=asked.now)
    outcome["verb"], outcome["pid"] = verb, running.pid
    show(json.dumps(outcome) if asked.json else str(outcome["text"]))
    return 1 if outcome["done"] is False else 0


def _reload(running: Running, *, wait: bool) -> Outcome:
    before = running.memory.snapshot()
    if any(worker.pid == before.master.pid for worker in before.workers):
        raise Refused("a server with --workers 0 reloads nothing; with --workers 1 it does.")
    _refuse_while_stopping(running, before)
    last = _last_event(before)
    _signal_master(running, signal.SIGHUP)
    if not wait:
        return Outcome(done=None, text=f"Asked server {running.pid} to reload.")
    return outcome_of_reload(_events(running, last))


def outcome_of_reload(events: Iterable[Event]) -> Outcome:
    """Return what became of the reload that begins among these events.

    The end of a reload before, which may come first, says nothing of this one.
    """
    begun = False
    for event in events:
        begun = begun or event.kind == "reloading"
        if event.kind == "reloaded" and begun:
            return Outcome(done=True, text="Reloaded: all workers are new.")
        if event.kind == "not reloaded" and begun:
            return Outcome(done=False, text=f"Not reloaded: {event.text}")
        if event.kind == "stopping":
            break
    return Outcome(done=False, text="Not reloaded: the server stops.")


def _replace(running: Running, number: int, *, wait: bool) -> Outcome:
    before = running.memory.snapshot()
    if any(worker.pid == before.master.pid for worker in before.workers):
        raise Refused("a server with --workers 0 has no worker to replace.")
    _refuse_while_stopping(running, before)
    last = _last_event(before)
    _order(running, before, number)
    if not wait:
        return Outcome(done=None, text=f"Asked server {running.pid} to replace worker {number}.")
    for event in _events(running, last):
        if event.kind == "worker ready" and event.worker == number:
            text = f"Worker {number} is replaced by process {event.pid}."
            return Outcome(done=True, text=text)
        if event.kind == "worker not replaced" and event.worker == number:
            return Outcome(done=False, text=f"Worker {number} goes on: {event.text}")
        if event.kind == "stopping":
            break
    return Outcome(done=False, text="Not replaced: the server stops.")


def _refuse_while_stopping(running: Running, snapshot: Snapshot) -> None:
    if snapshot.master.state == "stopping":
        raise Refused(f"server {running.pid} stops: it starts no worker any more.")


def _order(running: Running, snapshot: Snapshot, number: int) -> None:
    signum = running.memory.order_signal
    if not signum:
        raise Refused("the application has taken the signal by which a master is given orders.")
    with _alone(running):
        order = running.memory.put_order(layout.REPLACE, number)
        _signal_master(running, signum)
        until = time.monotonic() + _ANSWER
        while not (result := running.memory.order_result(order)):
            if time.monotonic() > until:
                raise Refused(f"server {running.pid} does not answer.")
            time.sleep(_LOOK)
    if result == layout.BUSY:
        raise Refused(f"worker {number} is being replaced already.")
    if result == layout.NO_SUCH_WORKER:
        there = ", ".join(
            str(worker.number) for worker in snapshot.workers if worker.state == "serving"
        )
        raise Refused(f"there is no worker {number} that serves; there are: {there or 'none'}.")


@contextmanager
def _alone(running: Running) -> Iterator[None]:
    """Have no other command give an order in the block."""
    try:
        fd = open_memory(running.pid, layout.MEMORY)
    except (OSError, Unreadable):
        raise NoServer(f"server {running.pid} has ended.") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _stop(running: Running, *, wait: bool, now: bool) -> Outcome:
    there = _watch(running.pid)
    _signal_master(running, signal.SIGQUIT if now else signal.SIGTERM)
    if not wait:
        return Outcome(done=None, text=f"Asked server {running.pid} to stop.")
    while there():
        time.sleep(_LOOK)
    return Outcome(done=True, text=f"Server {running.pid} has stopped.")


def _watch(pid: int) -> Callable[[], bool]:
    """Return what tells whether the process that has this pid now is still there."""
    began = started_at(pid)

    def there() -> bool:
        return bool(began) and started_at(pid) == began and not is_zombie(pid)

    return there


def _signal_master(running: Running, signum: int) -> None:
    if not send(running, running.pid, signum):
        raise NoServer(f"server {running.pid} has ended.")


def _last_event(snapshot: Snapshot) -> int:
    return snapshot.history[-1].number if snapshot.history else 0


def _events(running: Running, last: int) -> Iterator[Event]:
    """Yield what happens after that entry of the history, until the server has ended."""
    there = _watch(running.pid)
    while True:
        alive = there()
        for event in running.memory.snapshot().history:
            if event.number > last:
                last = event.number
                yield event
        if not alive:
            raise NoServer(f"server {running.pid} has ended meanwhile.")
        time.sleep(_LOOK)
