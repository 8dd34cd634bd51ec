"""The life of a worker in a thread of the tests: see `wsgi/threads.py` and `asgi/threads.py`.

What lives here: what such a worker must not do to its process. What must not: workers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from bare_serve.workers.lifecycle import Lifecycle


class LifeInThread(Lifecycle):
    """Leaves Python's collector alone.

    A worker sets apart for good what its boot has left behind: here that would be all that the
    tests before it have left behind, 0.15 s and more for each worker.
    """

    def has_booted(self, interval: AbstractContextManager[object] | None = None) -> None:
        if interval is not None:
            self._changed.enter_context(interval)
