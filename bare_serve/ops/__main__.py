"""The ops process itself: started by the master, by this file's path, and ended with the master.

Its arguments are the numbers of descriptors: a socket that leads to the master, the listener, the
shared memory, to read. It has nothing else of the master's: no other memory, no environment, no
key, no application. The first message has the rules (rules.py), among them the user to become
before anything is read from a client; later messages replace them. When the master closes its end,
this process ends.

Nothing beyond what is needed is imported; tests/ops/test_imports.py has the list.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # Python was told to look nowhere but in its own library
    sys.path.append(__file__.rsplit("/", 3)[0])

import gc
import socket

from bare_serve.counts.snapshot import Memory
from bare_serve.ops.orders import Order
from bare_serve.ops.pages import Pages
from bare_serve.ops.rules import LONGEST, Rules
from bare_serve.ops.serving import Loop

_FAREWELL = 0.25
"""Seconds for those who are being answered when the end comes."""


class _Master:
    """The socket that leads to the master."""

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(fileno=fd)

    def first(self) -> Rules:
        """Wait for the first rules."""
        message = self._sock.recv(LONGEST)
        if not message:
            sys.exit(0)  # the master has changed its mind
        self._sock.setblocking(False)
        return Rules.read(message)

    def later(self) -> tuple[bool, Rules | None]:
        """Return whether the master is still there, and new rules if there are some."""
        try:
            message = self._sock.recv(LONGEST)
        except BlockingIOError:
            return True, None
        except OSError:
            return False, None
        return bool(message), Rules.read(message) if message else None

    def give(self, order: Order) -> bool:
        """Pass an order on; False if the master does not take it."""
        try:
            return self._sock.send(order.message()) > 0
        except OSError:
            return False


def _become(rules: Rules) -> None:
    """Be the user of --user, for good."""
    if rules.identity is None:
        return
    uid, gid, groups = rules.identity
    if os.geteuid() == 0:
        os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def main(arguments: list[str]) -> None:
    """Serve until the master closes its end of the pipe."""
    if len(arguments) != 3 or not all(each.isdecimal() for each in arguments):
        sys.exit("This is a part of bare-serve, which starts it for --ops ADDR.")
    pipe, listening, board = map(int, arguments)
    master = _Master(pipe)
    rules = master.first()
    memory = Memory(board, writable=False)
    os.close(board)
    _become(rules)
    os.chdir("/")
    pages = Pages(rules, memory, master.give)
    loop = Loop(socket.socket(fileno=listening), pages.respond)

    def hear() -> bool:
        goes_on, rules = master.later()
        if rules is not None:
            pages.rules = rules
        return goes_on

    loop.watch(pipe, hear)
    gc.collect()
    gc.freeze()
    loop.run()
    loop.finish(_FAREWELL)


if __name__ == "__main__":
    main(sys.argv[1:])
