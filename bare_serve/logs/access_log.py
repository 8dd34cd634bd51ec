"""One line for each answered request, written in batches so that it costs next to nothing.

`record` makes the line and puts it on a list. A thread, woken by the first line, writes what has
come together a tenth of a second later: whatever the loop or the output are doing meanwhile, no
line waits longer, and no output, be it a disk that hangs, holds up a request. What the output
does not take is kept within a bound, then dropped, counted and reported (logs/sinks.py).

What a line says is its format's business (logs/access_format.py). Of a WebSocket it says the close
code, the bytes sent, how long it was open, and messages/bytes of each direction.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Any

from bare_serve.errors import BareServeError
from bare_serve.logs.access_format import Format, LoggedRequest, LoggedResponse, text_format
from bare_serve.logs.sinks import Backlog, FileSink, Sink, lines

FLUSH_SECONDS = 0.1
"""How long a line may wait for others; what kill -9 can cost."""
_MOST_LINES = 20_000
"""What is kept for an output that hangs in the middle of a write."""
_PATIENCE = 0.4  # at the end; the master kills half a second after the grace period
logger = logging.getLogger("bare_serve.access")


class AccessLog:
    """Gathers what was served and writes it to a sink."""

    __slots__ = (
        "_append", "_armed", "_backlog", "_closed", "_line", "_lines", "_lock", "_missed",
        "_missing", "_released", "_reopen", "_stamp", "_stamp_of", "_stamp_until", "_thread",
        "_wake",
    )  # fmt: skip

    def __init__(self, sink: Sink | int = 1, format: Format | None = None) -> None:  # noqa: A002 (its name everywhere)
        chosen = format or text_format()
        self._line = chosen.line
        self._stamp_of = chosen.stamp
        self._stamp: Any = None
        self._stamp_until = 0.0
        self._lines: list[str] = []
        self._append = self._lines.append
        self._backlog = Backlog(
            FileSink(sink) if isinstance(sink, int) else sink, _say_trouble, _say_recovery
        )
        self._lock = threading.Lock()
        """Held while lines are written."""
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._armed = True
        """The thread knows that there are lines; or there is no thread to wake."""
        self._missed = 0
        self._missing = threading.Lock()
        """Held while lines are taken from the list, or missed lines are counted."""
        self._reopen = self._closed = self._released = False

    def record(
        self,
        client: str,
        request: LoggedRequest,
        response: LoggedResponse,
        seconds: float,
        note: str = "",
    ) -> None:
        """Make the line of one answered request, which is written a little later.

        `note` ends the line, as it is. Any thread may call this.
        """
        now = time.time()
        if now >= self._stamp_until or now < self._stamp_until - 1.0:
            self._stamp = self._stamp_of(now)
            self._stamp_until = now // 1 + 1.0
        self._append(self._line(self._stamp, client, request, response, seconds, note))
        # After the line is there: the thread clears this flag before it looks.
        if not self._armed:
            self._armed = True
            self._wake.set()
        if len(self._lines) > _MOST_LINES:
            self._miss()

    @property
    def pending(self) -> bool:
        """Whether there is something to write."""
        return bool(self._lines or self._backlog.holds)

    @property
    def dropped(self) -> int:
        """Lines that were dropped so far."""
        return self._backlog.lost + self._missed

    def start(self) -> None:
        """Have a thread of this process write what is recorded; without one, `flush` does."""
        if self._thread is not None or self._closed:
            return
        thread = threading.Thread(target=self._write, name="bare-serve-log", daemon=True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:  # signals are for the threads that wait for them
            thread.start()
        except RuntimeError:
            raise BareServeError(
                "the system gives no thread to write the access log with; try --access-log off"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self._thread = thread
        self._armed = False
        if self._lines:
            self._wake.set()

    def flush(self) -> None:
        """Write what has been recorded, as far as the output takes it without waiting.

        If the thread hangs in a write, this gives up after a moment.
        """
        if self._lock.acquire(timeout=_PATIENCE):
            try:
                self._flush()
            finally:
                self._lock.release()

    def give_to(self, uid: int, gid: int) -> None:
        """Let that user append to the file, and so reopen it."""
        self._backlog.sink.give_to(uid, gid)

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one has been moved away.

        Not for a signal handler. What is pending still belongs to the old file.
        """
        self._reopen = True
        if self._thread is None:
            self.flush()
        else:
            self._wake.set()

    def close(self) -> None:
        """Write what can still be written, say how much was lost, and let go of the file."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        if not self._lock.acquire(timeout=_PATIENCE):
            lost = len(self._lines) + self._missed
            if lost:
                logger.warning("The access log hangs in a write; %s lost with it.", lines(lost))
            return
        try:
            self._flush()
            self._backlog.finish(_PATIENCE)
            self._released = True
            self._backlog.sink.close()
        finally:
            self._lock.release()

    def join(self) -> None:
        """Wait for the log's own thread to end, after `close`; not for long if it hangs."""
        if self._thread is not None:
            self._thread.join(FLUSH_SECONDS + _PATIENCE)

    def _write(self) -> None:
        """Write batches of lines, in the log's own thread."""
        while True:
            # What the output did not take is tried again without being asked.
            self._wake.wait(FLUSH_SECONDS if self._backlog.holds else None)
            if not (self._closed or self._reopen):
                time.sleep(FLUSH_SECONDS)
            if self._closed:
                return  # `close` writes the rest
            self._wake.clear()
            self._armed = False
            with self._lock:
                self._flush()

    def _flush(self) -> None:
        if self._released:
            return
        # Another thread may be recording: take what is there and leave what comes meanwhile.
        with self._missing:
            taken = self._lines[:]
            del self._lines[: len(taken)]
            missed, self._missed = self._missed, 0
        backlog = self._backlog
        backlog.dropped += missed
        backlog.lost += missed
        try:
            backlog.write("".join(taken).encode("utf-8", "replace"))
            if self._reopen:
                self._reopen = False
                backlog.sink.reopen()
        except OSError as error:
            path = getattr(backlog.sink, "path", "")
            logger.error("Cannot reopen the access log %s: %s.", path, error.strerror)

    def _miss(self) -> None:
        """Drop the newest line, and count it, where too many wait: the thread hangs in a write."""
        with self._missing:
            if len(self._lines) > _MOST_LINES:
                self._lines.pop()
                self._missed += 1


def _say_trouble(reason: str) -> None:
    logger.warning("The access log drops lines until it works again: %s.", reason)


def _say_recovery(state: str, dropped: int) -> None:
    logger.warning("The access log %s; %s dropped.", state, lines(dropped))
