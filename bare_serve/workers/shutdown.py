"""The end of a process in which an application has run: what is waited for, and what is given up.

What an interpreter does at its end is done here, but bounded. Jobs of executors and threads that
are no daemons come to their end, exit functions run, processes of multiprocessing are joined;
asyncio's part is the ASGI worker's. Then whatever processes are left get TERM, and at the end of
the time KILL, children of children included; those in a session of their own have been detached on
purpose and stay. One line names what was given up. Nothing ends later than `until` by more than a
few tenths of a second: if the main thread hangs, another one ends the process.

Handlers of signals only set what `hurried` asks for; this module installs none.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

logger = logging.getLogger("bare_serve.worker")

_LOOK: Final = 0.02
_LEAST: Final = 0.15
"""Seconds for idle pools to end, however late it is."""
_FROM_TERM_TO_KILL: Final = 0.15
_LAST: Final = 0.2
"""Seconds for exit functions to end that waited for a process that was killed."""
BEFORE_WE_SAY: Final = 1.0
"""Seconds of silence about who is waited for."""
_BEAT: Final = 1.0

# Helpers of multiprocessing and of loky. They end with the pipe that this process holds, and clean
# up behind it; TERM they ignore.
_HELPERS = ("resource_tracker import main", "forkserver import main")


class ServersThread(threading.Thread):
    """A thread of the server's own in which the application is called.

    A thread inherits `daemon` from the thread that starts it. This one is a daemon, so that a call
    that never returns does not block the end; threads that the application starts in it are none.
    """

    _inside = False

    @property
    def daemon(self) -> bool:  # type: ignore[override]
        """True until it runs."""
        return not self._inside

    def run(self) -> None:
        """See `threading.Thread`."""
        self._inside = True
        super().run()


class Process(NamedTuple):
    """A process, safe from a number that is used again."""

    pid: int
    began: str
    parent: int
    session: int

    @property
    def is_alive(self) -> bool:
        now = _look_up(self.pid)
        return now is not None and now.began == self.began

    def send(self, signum: int) -> None:
        """Send a signal if it is still there."""
        if self.is_alive:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signum)

    @property
    def is_detached(self) -> bool:
        """In a session of its own, which it has been given on purpose."""
        return self.session != os.getsid(0)

    @property
    def is_helper(self) -> bool:
        command = _name(self.pid, whole=True)
        return any(helper in command for helper in _HELPERS)


def children_now() -> tuple[int, ...]:
    """Return the processes that this one has started, as far as /proc says: in the main thread."""
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return tuple(map(int, text.split()))
    return ()


def start_afresh() -> None:
    """In a fork: processes of multiprocessing that were started before are another's children."""
    if (process := sys.modules.get("multiprocessing.process")) is not None:
        process._children.clear()
    if (util := sys.modules.get("multiprocessing.util")) is not None:
        util._finalizer_registry.clear()


class End:
    """The end of this process; `run` in the main thread."""

    def __init__(
        self,
        until: float,
        hurried: Callable[[], bool] = lambda: False,
        still_there: Callable[[], None] = lambda: None,
        *,
        spared: Iterable[int] = (),
        silent: bool = False,
    ) -> None:
        """`until` is a time of time.monotonic(), which `hurried` cuts short; `still_there` is
        called once a second. `spared` are processes that were there before the application."""
        self._until = until
        self._least = time.monotonic() + _LEAST
        self._hurried = hurried
        self._still_there = still_there
        self._spared = frozenset(spared)
        self._silent = silent
        self._done = threading.Event()
        self._ending = threading.Lock()
        """Held while the processes that are left are ended."""
        self._given_up: dict[str, None] = {}

    def run(self, code: int) -> bool:
        """Return when all has ended or is given up, and whether nothing is left that the
        interpreter would wait for; or end the process with `code` from another thread, if the main
        thread does not get there."""
        with contextlib.suppress(RuntimeError):  # no thread to be had: the master sees to the end
            threading.Thread(
                target=self._bound, args=(code,), name="bare-serve-end", daemon=True
            ).start()
        self._wait_for_threads()
        self._run_exit_functions()
        with self._ending:
            self._end_processes()
            self._done.set()
        self._say()
        logging.shutdown()
        _flush()
        return not is_held_up()

    # ------------------------------------------------------------------ time

    @property
    def _left(self) -> float:
        now = time.monotonic()
        until = now if self._hurried() else self._until
        return max(until, self._least) - now

    def _bound(self, code: int) -> None:
        """In a thread: nothing takes longer than there is time."""
        said = time.monotonic() + BEFORE_WE_SAY
        beat = 0.0
        while self._left > 0:
            if self._done.wait(min(_LOOK, max(self._left, 0.0))):
                return
            now = time.monotonic()
            if now >= beat:
                beat = now + _BEAT
                self._still_there()
            if now >= said:
                said = now + 1e9
                self._say_who_is_waited_for()
        if self._done.is_set():
            return
        with self._ending:
            if self._done.is_set():
                return
            self._end_processes()
        if not self._done.wait(_LAST):
            self._given_up["an exit function"] = None
            self._say()
            _flush()
            os._exit(code)

    # ------------------------------------------------------------------ threads

    def _wait_for_threads(self) -> None:
        """threading._shutdown(), which cannot be bounded: first the exit functions that stop
        threads, such as those of executors, then the threads."""
        waits = [_exit_functions_of_threading()]
        while self._left > 0 and (waits := [each for each in waits if each and each.is_alive()]):
            waits[0].join(_LOOK)
        while self._left > 0 and (threads := list(_threads())):
            threads[0].join(_LOOK)
        for thread in _threads():
            self._given_up[f"thread {thread.name!r}"] = None

    # ------------------------------------------------------------------ processes

    def _run_exit_functions(self) -> None:
        """They join processes of multiprocessing: those are killed when the time is over."""
        try:
            atexit._run_exitfuncs()
            # A fork forgets exit functions, this one as well if the master has imported it.
            if (util := sys.modules.get("multiprocessing.util")) is not None:
                util._exit_function()
        except Exception:
            logger.exception("An exit function failed.")

    def _end_processes(self) -> None:
        """Send TERM, and KILL when the time is over; with the lock held."""
        left = list(self._processes())
        names = {process: _name(process.pid) for process in left}  # before they are gone
        for process in left:
            process.send(signal.SIGTERM)
        soon = time.monotonic() + _FROM_TERM_TO_KILL
        while left and (self._left > 0 or time.monotonic() < soon):
            time.sleep(_LOOK)
            left = [process for process in left if process.is_alive]
        for process, name in names.items():
            how = "SIGKILL" if process in left else "SIGTERM"
            self._given_up[f"process {process.pid} ({name}) by {how}"] = None
        for process in (*left, *(each for each in self._processes() if each not in names)):
            process.send(signal.SIGKILL)

    def _processes(self) -> Iterator[Process]:
        """Return the processes that are left and to be ended, children before their parents."""
        yield from descendants(os.getpid(), self._is_left_alone)

    def _is_left_alone(self, process: Process) -> bool:
        """Return whether neither it nor its children are to be ended."""
        if process.pid in self._spared:
            return True
        if process.is_detached:
            name = f"process {process.pid} ({_name(process.pid)}), which is in a session of its own"
            self._given_up[name] = None
            return True
        return process.is_helper

    # ------------------------------------------------------------------ the log

    def _say_who_is_waited_for(self) -> None:
        if not self._silent:
            say_who_is_waited_for(self._left, self._processes())

    def _say(self) -> None:
        if self._given_up and not self._silent:
            logger.warning("Given up at the end: %s.", ", ".join(list(self._given_up)))
        self._given_up.clear()


def _exit_functions_of_threading() -> threading.Thread | None:
    """Run them in a thread, and return it. They wait for what they have asked to end."""
    functions: list[Callable[[], Any]] = list(getattr(threading, "_threading_atexits", ()))
    if not functions:
        return None

    def call() -> None:
        for function in reversed(functions):
            function()

    thread = threading.Thread(target=call, name="bare-serve-executors", daemon=True)
    with contextlib.suppress(RuntimeError):
        thread.start()
        return thread
    return None


def _threads() -> Iterator[threading.Thread]:
    """Yield the threads that an interpreter waits for."""
    executors = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())
    main = threading.main_thread()
    for thread in threading.enumerate():
        if thread is main or isinstance(thread, ServersThread):
            continue
        # asyncio's, which itself only waits for an executor's.
        if thread.name.endswith("(_do_shutdown)"):
            continue
        if not thread.daemon or thread in executors:
            yield thread


def say_who_is_waited_for(seconds: float, processes: Iterable[Process] = ()) -> None:
    """Log for how many seconds at most the end waits for which threads, and for `processes`."""
    names = [f"thread {thread.name!r}" for thread in _threads()]
    names += [f"process {each.pid} ({_name(each.pid)})" for each in processes]
    if names:
        logger.info(
            "Waiting for %.3g s at most for what the application has left running: %s.",
            *(seconds, ", ".join(names)),
        )


def is_held_up() -> bool:
    """Return whether an interpreter that ended now would wait for a thread."""
    return next(_threads(), None) is not None


def stays(process: Process) -> bool:
    """Return whether a process is left alone when the children of a worker are ended."""
    return process.is_detached or process.is_helper


def descendants(
    pid: int, left_alone: Callable[[Process], bool] = lambda process: False
) -> list[Process]:
    """Return the live children of a process and theirs, the last ones first, from /proc."""
    below: dict[int, list[Process]] = {}
    for process in _all_processes():
        below.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    queue = [pid]
    while queue:
        for process in below.get(queue.pop(), ()):
            if not left_alone(process):
                found.append(process)
                queue.append(process.pid)
    return found[::-1]


def _all_processes() -> Iterator[Process]:
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and (process := _look_up(int(name))) is not None:
                yield process


def _look_up(pid: int) -> Process | None:
    """Return the process; None if it has ended, reaped or not."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The command name is in parentheses and may hold anything, so read from behind it:
        # state, parent, group, session, ..., the 22nd is when it began (proc_pid_stat(5)).
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        fields = text.split()
        if fields[0] not in "ZX":
            return Process(pid, fields[19], int(fields[1]), int(fields[3]))
    return None


def _name(pid: int, *, whole: bool = False) -> str:
    """Return the command of a process."""
    text = ""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        text = " ".join(filter(None, words))
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if whole or len(text) <= 60 else text[:57] + "..."


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
