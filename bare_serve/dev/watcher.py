"""The watcher: started by the master, by this file's path, and ended with the master.

It looks at files twice a second, or once and whenever the system tells it to (alarms.py), waits
until nothing more changes, and says what has changed. Looks take less than half a hundredth of the
time, if need be by being seldom. Its one argument is the number of a descriptor, a socket that
leads to the master; when the master closes its end, this process ends. It runs no code of the
application.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # Python was told to look nowhere but in its own library
    sys.path.append(__file__.rsplit("/", 3)[0])

import gc
import select
import socket
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bare_serve.dev import messages
from bare_serve.dev.alarms import Alarm, choose
from bare_serve.dev.messages import LONGEST, Report, Task, Warned, Watching
from bare_serve.dev.watching import (
    MOST_ENTRIES,
    MOST_FILES,
    TooMany,
    Watched,
    changed_since,
    differences,
)

EVERY: Final = 0.5
"""Seconds between two looks; more if a look takes long."""
_EVERY_BESIDE: Final = 1.0
"""The same where the system tells of most changes."""
_SELDOM: Final = 5.0
_SOON: Final = 0.01
"""Seconds between a look and the next one that an alarm asks for."""
_SHARE: Final = 0.004
"""How much of one processor looks may take."""
_QUIET: Final = 0.03
"""Seconds in which nothing may change before a change is over: editors write in several steps."""
_MISSING: Final = 0.3
"""The same for a file that is gone: some editors put another one in its place."""
_LONGEST_CHANGE: Final = 2.0
_SAME_AGAIN: Final = 30.0
"""Seconds in which a file that is written again may have the content that it had; twice as long
each time it counts as a change all the same, since a start may take longer than that."""
_LARGEST: Final = 1 << 20
"""Bytes of a file whose content is compared; a larger one has changed whenever it is written."""


class Watcher:
    """Looks, waits and reports; `say` takes what the master is told."""

    def __init__(self, task: Task, alarm: Alarm, say: Callable[[Report], None]) -> None:
        self.alarm = alarm
        self._say = say
        self._watched = Watched(task.rules)
        self._since = task.since
        now = time.monotonic()
        self._contents = {path: (seen, now, _SAME_AGAIN) for path, seen in task.contents.items()}
        """The checksum of what has changed, when that was, and how long the same is no change."""
        self._looked_at = 0.0
        self._fruitless = 0
        self.next_look = 0.0
        """By time.monotonic()."""

    def begin(self) -> None:
        """Look for the first time."""
        self._watched.snapshot = self._look()
        self._say(Watching(len(self._watched.snapshot), self.alarm.name))
        for pattern in self._watched.unmatched():
            self._say(Warned(f"--reload-include {pattern!r} matches no file that is there now."))
        self._report([*changed_since(self._watched.snapshot, self._since, time.time_ns())])

    def add(self, files: list[str]) -> None:
        """Watch these files as well; they may have changed since they were imported."""
        new = self._watched.add(files)
        found = {path: self._watched.snapshot[path] for path in new}
        if files and not self._watched.snapshot:
            self._say(
                Warned(
                    "No file is watched, so nothing will be reloaded: --reload-exclude matches the "
                    "application's own. Leave out less by it."
                )
            )
        self._report([*changed_since(found, self._since, time.time_ns())])

    def look_sooner(self) -> None:
        """Look soon, since an alarm has told of something; ever less soon if that was nothing.

        Databases and logs may lie in the directories, and are written all the time.
        """
        self.alarm.hear()
        now = time.monotonic()
        if now > self._looked_at + 4 * EVERY:
            self._fruitless = 0
        soon = self._looked_at + _SOON * 2.0 ** min(self._fruitless, 10)
        self.next_look = max(now, min(self.next_look, soon))
        self._fruitless += 1

    def look(self) -> None:
        """Look, and report what has changed once nothing more does."""
        after = self._look()
        if differences(self._watched.snapshot, after):
            self._fruitless = 0
            after = self._settled(after)
            before, self._watched.snapshot = self._watched.snapshot, after
            self._report(differences(before, after))

    def _look(self) -> dict[str, tuple[int, int, int]]:
        began = time.process_time()
        try:
            found = self._watched.look()
        except TooMany as error:
            self._watched.give_up_directories()
            self._say(
                Warned(
                    f"There are more than {MOST_FILES:,} files to watch, or {MOST_ENTRIES:,} "
                    f"others beside them, below {error.args[0]}; only modules that were imported "
                    "are watched. Name the directories of the application by --reload-dir, or "
                    "leave others out by --reload-exclude."
                )
            )
            found = self._watched.look()
        self.alarm.watch(self._watched.directories)
        took = time.process_time() - began
        every = EVERY if self.alarm.fd < 0 else _EVERY_BESIDE
        self._looked_at = time.monotonic()
        self.next_look = self._looked_at + min(max(every, took / _SHARE), _SELDOM)
        return found

    def _settled(self, after: dict[str, tuple[int, int, int]]) -> dict[str, tuple[int, int, int]]:
        until = time.monotonic() + _LONGEST_CHANGE
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < until:
            gone = self._watched.snapshot.keys() - after.keys()
            if now - quiet_since >= (_MISSING if gone else _QUIET):
                break
            time.sleep(_QUIET / 2)
            latest = self._look()
            if latest != after:
                after, quiet_since = latest, time.monotonic()
        if self.alarm.fd >= 0:
            self.alarm.hear()
        return after

    def _report(self, files: list[str]) -> None:
        now = time.monotonic()
        changed = [path for path in files if not self._is_the_same_again(path, now)]
        if files:
            self._since = time.time_ns()
            contents = {path: self._contents[path][0] for path in files}
            self._say(messages.changed(changed or files, contents, again=not changed))

    def _is_the_same_again(self, path: str, now: float) -> bool:
        """Return whether a start of the application may have written it just as it was: each
        reload would be the reason for another one."""
        content = -1
        with suppress(OSError), open(path, "rb") as file:
            text = file.read(_LARGEST + 1)
            content = zlib.crc32(text) if len(text) <= _LARGEST else -1
        before, at, long = self._contents.get(path, (-1, 0.0, _SAME_AGAIN))
        is_same = content == before != -1
        if is_same and now - at < long:
            return True
        self._contents[path] = content, now, 2 * long if is_same else _SAME_AGAIN
        return False


def run(pipe: socket.socket) -> None:
    """Watch until the master closes its end."""
    first = pipe.recv(LONGEST)
    if not first:
        return
    task = Task.read(first)
    pipe.setblocking(False)
    unsaid: list[Report] = []

    def say(report: Report) -> None:
        unsaid.append(report)

    watcher = Watcher(task, choose(task.watchfiles), say)
    watcher.begin()
    gc.collect()
    gc.freeze()
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    if watcher.alarm.fd >= 0:
        poller.register(watcher.alarm.fd, select.POLLIN)
    alarmed = False
    parent = os.getppid()
    while os.getppid() == parent:
        _flush(pipe, unsaid)
        wait = 0.1 if unsaid else max(0.0, watcher.next_look - time.monotonic())
        if watcher.alarm.fd >= 0:  # one alarm is enough
            poller.modify(watcher.alarm.fd, 0 if alarmed else select.POLLIN)
        ready = {fd for fd, _ in poller.poll(wait * 1000)}
        if pipe.fileno() in ready and not _hear(pipe, watcher):
            return
        if watcher.alarm.fd in ready:
            alarmed = True
            watcher.look_sooner()
        if time.monotonic() >= watcher.next_look:
            alarmed = False
            watcher.look()


def _hear(pipe: socket.socket, watcher: Watcher) -> bool:
    """Take what the master says; False if it is gone."""
    try:
        message = pipe.recv(LONGEST)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if message:
        watcher.add(messages.read_files(message))
    return bool(message)


def _flush(pipe: socket.socket, unsaid: list[Report]) -> None:
    """Say what is to be said, as far as the master takes it."""
    with suppress(BlockingIOError):
        while unsaid:
            try:
                pipe.send(messages.encode(unsaid[0]))
            except ConnectionError:  # also if the master has left something unread
                os._exit(0)
            del unsaid[0]


def main(arguments: list[str]) -> None:
    """Be the process that the master starts."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        sys.exit("This is a part of bare-serve, which starts it for --reload.")
    run(socket.socket(fileno=int(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
