"""Threads of a worker that has answers at hand: for these a request needs nothing but its head.

What lives here: which requests are answered before there is an environ and a call. What must not:
how they are answered (wsgi/direct.py). Imported only by a worker that has such answers.
"""

from __future__ import annotations

from typing import Any

from bare_serve.http import RequestHead
from bare_serve.workers.wsgi.leader import WorkerThread
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.direct import DirectService


class DirectThread(WorkerThread):
    """A thread that answers what is at hand, and calls the application for the rest."""

    def _serve(
        self, connection: Connection, head: RequestHead, body: Any, length: int | None = None
    ) -> None:
        service = self._service
        # With a proxy that speaks for the client, it is the environ that finds out who that is. The
        # service is another while an x-ray is attached.
        if connection.trust is None and type(service) is DirectService:
            if service.answered(connection, head):
                self.call.requests += 1
                return
        super()._serve(connection, head, body, length)
