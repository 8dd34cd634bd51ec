"""`bare-serve top`: the screen of `status`, drawn anew each second, and keys to act.

What lives here: the terminal, the keys, the loop. What must not: what the screen says (screen.py),
what a master does when it is asked (supervision/).
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bare_serve.cli.verbs import stacks, status
from bare_serve.cli.verbs.command import Misused, Refused, parser, show
from bare_serve.cli.verbs.screen import cut
from bare_serve.cli.verbs.servers import Running, is_there, send, the_one
from bare_serve.cli.verbs.views import View, view_of

_CLEAR, _HOME, _REST, _LINE = "\x1b[2J", "\x1b[H", "\x1b[J", "\x1b[K"
_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_KEYS = "r reload  + one more  - one fewer  s stacks  q quit"
_WATCHED = 3.0
"""Seconds, beyond the next round, for which workers are to list their requests in flight."""


def main(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    made = parser("top", f"Watch a server. Keys: {_KEYS}.")
    made.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="How often.")
    made.add_argument("--rounds", type=int, default=0, metavar="COUNT", help="End after so many.")
    asked = made.parse_args(arguments[1:])
    if not 0.1 <= asked.every <= 3600:
        raise Misused("--every: from 0.1 to 3600 seconds.")
    with the_one(asked.pid, asked.pidfile) as running:
        if asked.json:
            return _stream(running, asked.every, asked.rounds)
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise Misused("top needs a terminal; `top --json` and `status` do not.")
        with _terminal():
            top = _Top(running, asked.every)
            top.run(asked.rounds)
    if top.is_over:
        show(f"Server {running.pid} has ended.")
    return 0


def _views(running: Running, every: float, wait: Callable[[], bool]) -> Iterator[View]:
    """Yield a view each time that `wait` says True."""
    view: View | None = None
    while True:
        running.memory.watch(every + _WATCHED)
        view = view_of(running, running.memory.snapshot(), view)
        yield view
        if not wait():
            return


def _stream(running: Running, every: float, rounds: int) -> int:
    """Print a line of JSON each time."""
    done = 0

    def wait() -> bool:
        nonlocal done
        done += 1
        if rounds and done >= rounds:
            return False
        time.sleep(every)
        return is_there(running)

    for view in _views(running, every, wait):
        show(json.dumps(view.to_json()))
        sys.stdout.flush()
    return 0


@contextmanager
def _terminal() -> Iterator[None]:
    """Have the terminal give single keys, and a screen of our own; put it back at the end."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        tty.setcbreak(fd)
        sys.stdout.write(_OTHER_SCREEN + _CLEAR)
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        sys.stdout.write(_OWN_SCREEN)
        sys.stdout.flush()
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class _Top:
    """The screen, and what is said on its last line."""

    def __init__(self, running: Running, every: float) -> None:
        self._running = running
        self._every = every
        self._said = ""
        self._stacks: list[str] = []
        self._rounds = 0
        self.is_over = False
        """The server has ended."""

    def run(self, rounds: int) -> None:
        """Draw until a key, the end of the server or `rounds` end it."""

        def wait() -> bool:
            self._rounds += 1
            return not (rounds and self._rounds >= rounds) and self._wait()

        for view in _views(self._running, self._every, wait):
            self._draw(view)

    def _draw(self, view: View) -> None:
        size = shutil.get_terminal_size((80, 24))
        width, height = max(size.columns, 20), max(size.lines, 4)
        body = self._stacks or status.lines(view, width, height, 5)
        body = [cut(line, width) for line in body[: height - 2]]
        body += [""] * (height - 1 - len(body)) + [cut(self._said or _KEYS, width)]
        sys.stdout.write(_HOME + f"{_LINE}\n".join(body) + _LINE + _REST)
        sys.stdout.flush()

    def _wait(self) -> bool:
        """Wait for the next time to draw, acting on keys; return False if it is over."""
        if select.select([sys.stdin], [], [], self._every)[0]:
            keys = os.read(sys.stdin.fileno(), 64)
            if not keys or b"q" in keys:
                return False
            for key in keys.decode("latin-1"):
                self._act(key)
        self.is_over = not is_there(self._running)
        return not self.is_over

    def _act(self, key: str) -> None:
        signals = {"r": signal.SIGHUP, "+": signal.SIGTTIN, "-": signal.SIGTTOU}
        said = {"r": "asked to reload", "+": "asked for one more", "-": "asked for one fewer"}
        self._said = ""
        try:
            if key == "s" and not self._stacks:
                self._stacks = stacks.lines(stacks.gather(self._running), everything=False)
                self._said = "any key: back"
                return
            self._stacks = []
            if key in signals:
                send(self._running, self._running.pid, signals[key])
                self._said = said[key]
        except Refused as error:
            self._said = str(error)
