"""Observers of answers: the type of an observer, and one made of several.

What lives here: what an observer is given, and that one which fails harms no other. What must not:
what an observer does (access_log.py is one), which of them a worker has (workers/observers.py).

HOT PATH: an exchange asks whether there is an observer, and calls it. Where there is only one,
nothing is in between.
"""

from __future__ import annotations

import logging
from typing import Protocol

from bare_serve.logs.access_format import LoggedRequest, LoggedResponse

logger = logging.getLogger("bare_serve.worker")

CLIENT_LEFT = 499
"""nginx's number for a client that left before it was answered; only observers ever see it."""


class OnAnswered(Protocol):
    """Is told of each request that has come to its end, once, whatever the end was.

    That may be an answer, a part of one, a redirection, or a client that left before (status 499);
    of a WebSocket, that it was closed. A request that was refused since it breaks the protocol has
    no head that could be told of; one that was refused by a limit has as much of it as was read.
    """

    def __call__(
        self,
        client: str,
        head: LoggedRequest,
        answer: LoggedResponse,
        seconds: float,
        note: str = "",
        /,
    ) -> None:
        """Take note of one request; any thread may call this, several at once.

        It must not block and must not raise: whoever serves the request is waiting.

        Args:
            client: the client's address; nothing for a unix socket.
            head: the request.
            answer: status and bytes that were sent, as they are now: the connection goes on, so
                what is needed later has to be read in the call.
            seconds: from the head to the end; 0.0 for an answer of the server's own that took none.
            note: more about it, in words for a log: messages and bytes of a WebSocket.
        """


def compose(*observers: OnAnswered | None) -> OnAnswered | None:
    """Return one observer that tells all of them, in this order; None if there is none.

    One is returned as it is. Of several, each is told, even if one before it raises; that is logged
    for each of them once, since it would come again with each request.
    """
    listening = [each for each in observers if each is not None]
    if not listening:
        return None
    if len(listening) == 1:
        return listening[0]
    unreported = {id(each): each for each in listening}

    def tell_all(
        client: str,
        head: LoggedRequest,
        answer: LoggedResponse,
        seconds: float,
        note: str = "",
        /,
    ) -> None:
        for each in listening:
            try:
                each(client, head, answer, seconds, note)
            except Exception:
                if unreported.pop(id(each), None) is not None:  # of several threads, for one
                    logger.exception("%r, which is told of each answer, failed.", each)

    return tell_all
