"""A line for each request when it is over: what was asked, what came of it, and how long it took.

Written by `logging`, so that it goes where a program's logs go, under any server; bare-serve itself
has an access log, which costs less. The line comes after the last byte, for failures and for
clients that leave, too; what a client has sent is escaped, so that it cannot forge one.
"""

from __future__ import annotations

import logging

from bare_serve.middleware.policy import Exchange, Head, Outcome
from bare_serve.middleware.values import described


class Logging:
    """`logging`: logs each request."""

    def __init__(self, logger: str = "bare_serve.middleware.requests", query: bool = True) -> None:
        """Say where to.

        Args:
            logger: the name of the logger; lines are of the level INFO, failures ERROR.
            query: log what stands behind the ? of a target.
        """
        self._logger = logging.getLogger(logger)
        self._query = query

    def begin(self, request: Head) -> Exchange | None:
        """Note what is asked."""
        if not self._logger.isEnabledFor(logging.ERROR):
            return None
        what = described(request)
        if not self._query:
            what = what.partition("?")[0]
        return _Logged(self._logger, request, what)


class _Logged(Exchange):
    __slots__ = ("_logger", "_request", "_what")

    def __init__(self, logger: logging.Logger, request: Head, what: str) -> None:
        self._logger = logger
        self._request = request
        self._what = what

    def end(self, outcome: Outcome) -> None:
        request = self._request
        notes = []
        if outcome.error is not None:
            notes.append(f"raised {type(outcome.error).__name__}")
        if outcome.client_gone:
            notes.append("not complete")
        if request_id := request.raw.get("request_id"):
            notes.append(f"id {request_id}")
        self._logger.log(
            logging.INFO if outcome.error is None else logging.ERROR,
            "%s %s %d %d bytes %.1f ms%s",
            request.client or "-",
            self._what,
            outcome.status,
            outcome.sent,
            outcome.seconds * 1000,
            f" ({', '.join(notes)})" if notes else "",
        )
