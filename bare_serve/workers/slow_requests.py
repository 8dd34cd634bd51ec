"""Requests that take longer than --log-slow: a line while one still runs, and one when it ends.

What lives here: the thread that looks, and what it tells. What must not: what runs in a worker
(`asgi/inflight.py`, `wsgi/inflight.py`), ending a request (`--timeout-request`).

Requests store nothing for it. The thread asks what is in progress a few times within the limit, so
that a request is told of however the loop or the application is held up; its end is told by an
observer of answers. Where --log-slow is off, neither is there, and this is not imported.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Final

from bare_serve.logs.access_format import LoggedRequest, LoggedResponse
from bare_serve.logs.on_answered import CLIENT_LEFT
from bare_serve.workers.inflight import Running, describe

logger = logging.getLogger("bare_serve.slow")

_LOOKS: Final = 4
"""How often, within the limit, the thread looks."""
_SOONEST, _LATEST = 0.02, 1.0
"""Seconds between two looks, at least and at most."""


class SlowRequests:
    """Those of one worker; made at its boot."""

    def __init__(self, limit: float, worker: int = 0) -> None:
        """`limit`: seconds; `worker`: its number, 0 if it has none."""
        self._limit = limit
        self._who = f" in worker {worker}" if worker else ""
        self._seen: dict[tuple[object, int], bool] = {}
        """Those in progress at the last look, and whether they were told of."""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, look: Callable[[], Iterable[Running]]) -> None:
        """Begin, in a thread, to tell of requests; `look` returns those in progress.

        Without a thread, since the system gives none, only the ends of requests are told.
        """
        thread = threading.Thread(
            target=self._watch, args=(look,), name="bare-serve-slow", daemon=True
        )
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:  # signals are for the threads that wait for them
            thread.start()
        except RuntimeError:
            logger.warning("The system gives no thread; slow requests are logged as they end.")
        else:
            self._thread = thread
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def stop(self) -> None:
        """Tell no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_LATEST)

    def ended(
        self,
        client: str,
        head: LoggedRequest,
        answer: LoggedResponse,
        seconds: float,
        note: str = "",
    ) -> None:
        """Tell of a request that has come to its end and was slow; see `OnAnswered`."""
        if seconds < self._limit or note:  # a WebSocket has a note, and is open as long as it likes
            return
        how = f"{answer.status}, {answer.bytes_sent} bytes"
        if answer.status == CLIENT_LEFT:
            how = "its client left"
        logger.warning("%s took %.3g s%s: %s.", describe(head, answer), seconds, self._who, how)

    def look(self, running: Iterable[Running]) -> None:
        """Tell of what has become slow among the requests in progress, each once."""
        seen: dict[tuple[object, int], bool] = {}
        for each in running:
            key = (each.call, each.number)
            # At its first look a request may still have the age of the one before on its
            # connection: another thread is just beginning it.
            told = self._seen.get(key)
            if told is False and each.age >= self._limit:
                told = True
                place = each.place()
                at = f"; it is at {place}" if place else ""
                what = describe(each.head)
                logger.warning("%s runs for %.3g s%s%s.", what, each.age, self._who, at)
            seen[key] = told is True
        self._seen = seen

    def _watch(self, look: Callable[[], Iterable[Running]]) -> None:
        period = min(max(self._limit / _LOOKS, _SOONEST), _LATEST)
        failed = False
        while not self._over.wait(period):
            try:
                self.look(look())
            except Exception:
                if not failed:  # it would come again at each look
                    logger.exception("The look at slow requests failed.")
                failed = True
