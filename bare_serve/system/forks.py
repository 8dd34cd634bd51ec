"""A process that the application forks keeps nothing of the server.

A fork copies all there is: handlers of signals, listening sockets, the clients' connections. So in
such a child signals are handled as they were before the server came, and what the server holds is
let go of. Otherwise `Process.terminate()` would do nothing, the port would stay taken, and a client
would wait for an end that another process keeps from it. A child that comes back into the server's
code is ended there: two processes cannot answer one request.

What is held, its owners say when a fork happens (`holds`); until then it costs nothing.
Forks of the server itself are made inside `ours`. Programs that are executed inherit nothing, as
every descriptor is close-on-exec.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

logger = logging.getLogger("bare_serve.worker")

Descriptors = Callable[[], Iterable[int]]

happened = False
"""The application has forked: another process may hold sockets of this one."""

_OURS = f"{__name__.partition('.')[0]}."
# Handlers by which a loop is woken that does not run in a child.
_LOOPS = ("asyncio.unix_events", "uvloop.loop")

_watching = False
_forking = 0  # the thread in which the server itself forks
_is_copy = False
_before: Mapping[int, Any] = {}
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
_this_thread = threading.local()
_held: list[tuple[Descriptors, Callable[[], object]]] = []


def begin(before: Mapping[int, Any] | None = None) -> None:
    """Begin to watch forks for a server in this process; nothing is held yet.

    `before`: the handlers of signals that there were, where they are not Python's own.
    """
    global _watching, _forking, _is_copy, _before, happened
    _held.clear()
    _before = before or {}
    _is_copy = happened = False
    _forking = 0  # in a worker that has just been forked
    if not _watching and hasattr(os, "register_at_fork"):
        _watching = True
        os.register_at_fork(
            before=_hold_signals, after_in_child=_in_child, after_in_parent=_in_parent
        )


def holds(
    descriptors: Descriptors, then: Callable[[], object] = lambda: None
) -> Callable[[], None]:
    """Have a child let go of these descriptors, and then do something; returns what undoes it.

    Both are called in the child, whose other threads are gone: neither may take a lock.
    """
    entry = (descriptors, then)
    _held.append(entry)

    def undo() -> None:
        with contextlib.suppress(ValueError):
            _held.remove(entry)

    return undo


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """Fork for the server's own purposes."""
    global _forking
    _forking = threading.get_ident()
    try:
        yield
    finally:
        _forking = 0


def end_copy() -> None:
    """Where the application's code returns to the server: end the process if it is a fork of it.

    Its exit code is that of a SystemExit that is being handled. Exit functions do not run: they
    are those of the process that was forked.
    """
    if _is_copy:
        _end(sys.exc_info()[1])


def _end(error: BaseException | None) -> NoReturn:
    code = 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    else:
        logger.error(
            "Process %d, which the application has forked, came back into the server and is "
            "ended: whoever calls os.fork() has to end the child by os._exit().",
            os.getpid(),
        )
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def hang_up(transport: Any) -> None:
    """Before a transport closes its socket: end the connection for all processes that have it open.

    Not of one that is to be reset, since the client would see a clean end.
    """
    sock = transport.get_extra_info("socket")
    fd = -1 if sock is None else sock.fileno()
    if fd < 0:
        return
    with contextlib.suppress(OSError):
        # uvloop's own has no shutdown().
        own = socket.socket(sock.family, sock.type, sock.proto, fileno=fd)
        try:
            if not own.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                own.shutdown(socket.SHUT_RDWR)
        finally:
            own.detach()


def _hold_signals() -> None:
    """Block signals for a child, until they mean to it what they meant before the server.

    One that came in between would be taken by the server's handler, and forgotten: a Pool that ends
    right after it began would wait for ever for the child that it has asked to end.
    """
    if _forking != threading.get_ident() and _held:
        _this_thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)


def _let_signals_come() -> None:
    mask: set[signal.Signals] | None = getattr(_this_thread, "mask", None)
    if mask is not None:
        _this_thread.mask = None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_parent() -> None:
    global happened
    if _forking != threading.get_ident():
        happened = True
    _let_signals_come()


def _in_child() -> None:
    global _is_copy
    if _forking == threading.get_ident() or not _held:
        return
    _is_copy = True
    for act in (_give_signals_back, _let_go):
        # No caller could catch it; and what fails is no worse than what was before.
        with contextlib.suppress(Exception):
            act()
    _let_signals_come()


def _give_signals_back() -> None:
    """Give them back; handlers of the application's own stay, as in any fork."""
    signal.set_wakeup_fd(-1)  # or a signal of this process would wake the loop of the other
    for signum in signal.valid_signals():
        handler = signal.getsignal(signum)
        if callable(handler) and _belongs_to_the_server(handler):
            default = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
            theirs = getattr(handler, "theirs", None) or _before.get(signum)
            if callable(theirs) and _belongs_to_the_server(theirs):
                theirs = None
            signal.signal(signum, theirs or default)
    if signal.getsignal(signal.SIGCHLD) in (None, signal.SIG_DFL):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # libuv has a handler that Python sees not


def _belongs_to_the_server(handler: Any) -> bool:
    module = str(getattr(handler, "__module__", ""))
    return module.startswith(_OURS) or module in _LOOPS


def _let_go() -> None:
    """Nothing is closed but replaced: the objects around a descriptor still close it some day,
    and must not meet what this process has opened under the same number."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptors, then in _held:
        with contextlib.suppress(Exception):
            for fd in descriptors():
                if fd > 2:
                    os.dup2(null, fd, inheritable=False)
        with contextlib.suppress(Exception):
            then()
    os.close(null)
    _held.clear()
