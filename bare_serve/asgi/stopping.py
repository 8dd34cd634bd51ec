"""Which applications a stopping worker sends a disconnect, and which it waits for no more.

What lives here: the looks, a few in a second, at all calls while a worker drains. What must not:
idle connections (closing.py), the end of the grace period (the worker).

A call that works on an answer has the grace period. But some calls never end by themselves:

- A call whose client has left: no client can receive what it sends. It has its disconnect
  (`receive` returns it, `send` raises), and is cancelled if it goes on at the next look.
- A stream that may have no end: `receive` says `http.disconnect` once the stream
  has sent nothing from one look to the next, so it waits for something. One that sends at each look
  may come to its end, and has half of the grace period. One that has only just begun may be short,
  so it has a moment more. One that waits for its client has the whole grace period.
- A call that waits in `receive` itself, and has not begun to answer: it has nothing else to wait
  for, unless it has started a task that works meanwhile. It gets the same. One that only listens
  beside its work, as Django and Quart do in a task of their own, gets none: it would drop that
  work.
- A WebSocket that is not accepted yet, as soon as the call listens: accepted, it would be closed at
  once.

Which task belongs to which request is known by a mark in its context, made anew each second, so
that no request pays for it. It also says when a request has begun.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import sys
from collections.abc import Iterable, Mapping
from contextvars import Context
from typing import Any

from bare_serve.asgi.interfaces import RunningCall
from bare_serve.asgi.service import MARK, Service

logger = logging.getLogger("bare_serve.worker")

_YOUNG = 1.5
"""Seconds, and up to one less: a stream that is younger may come to its end."""
_TURNS = 5
"""Of the loop: a wait that has been cancelled ends in them, also if the loop was held up."""


class Looks:
    """All the looks of one drain."""

    def __init__(self, service: Service, grace: float) -> None:
        """`grace`: the seconds that requests have to finish, from the first look on."""
        self._service = service
        self._grace = grace
        self._flow_until = math.inf  # when streams get a disconnect though they send
        self._streams: dict[RunningCall, int] = {}  # at the last look, and what they had sent
        self._unheard: dict[RunningCall, int] = {}  # at the last look, and what they had sent
        self._listening: dict[RunningCall, float] = {}  # likewise
        self._cancelled: set[RunningCall] = set()  # once is enough
        self._probed: dict[RunningCall, int] = {}  # how often

    def look(self) -> None:
        """Send the disconnect to calls, and cancel calls, whose time has come."""
        calls = [call for call in self._service.running if call.task is not None]
        self._cancel_unheard(calls)
        self._probe(calls)
        self._tell_streams(calls)
        for call in calls:
            if call.is_futile and not is_young(self._service, call.task):
                call.tell_stop()
        self._tell_listeners(calls)

    def _tell_streams(self, calls: Iterable[RunningCall]) -> None:
        now = self._service.loop.time()
        self._flow_until = min(self._flow_until, now + self._grace / 2)
        before = self._streams
        self._streams = {call: call.sent for call in calls if call.may_be_endless}
        for call, sent in self._streams.items():
            quiet = before.get(call) == sent
            if (quiet or now >= self._flow_until) and not is_young(self._service, call.task):
                call.tell_stop()

    def _tell_listeners(self, calls: Iterable[RunningCall]) -> None:
        """Those whose wait was seen at the last look: a shorter one may only be a look at whether
        the client is there, and about to be cancelled."""
        before = self._listening
        self._listening = {
            call: since for call in calls if (since := call.only_listens_since) is not None
        }
        listeners = {
            call: since for call, since in self._listening.items() if before.get(call) == since
        }
        if listeners:
            self._tell_soon(listeners, _TURNS)

    def _tell_soon(self, listeners: Mapping[RunningCall, float], turns: int) -> None:
        if turns:
            self._service.loop.call_soon(self._tell_soon, listeners, turns - 1)
            return
        busy = self._marks_of_strays(self._service.running)
        for call, since in listeners.items():
            if call.only_listens_since == since and mark_of(call.task) not in busy:
                call.tell_stop()

    def _cancel_unheard(self, calls: Iterable[RunningCall]) -> None:
        """Not one that has sent something since the last look: the client has closed its side only,
        or the next piece will show that it is gone."""
        before = self._unheard
        self._unheard = {call: call.sent for call in calls if call.unheard}
        cancelled = {call for call, sent in self._unheard.items() if before.get(call) == sent}
        cancelled -= self._cancelled
        self._cancelled |= cancelled
        if cancelled:
            logger.info("Cancelling %d requests whose clients have left.", len(cancelled))
        for call in cancelled:
            if call.task is not None:
                call.task.cancel()

    def _probe(self, calls: Iterable[RunningCall]) -> None:
        """Write twice: loops do not read from a client that has closed its side, so they see the
        reset, which follows the first write, by the second."""
        for call in calls:
            if call.may_be_unheard and (probes := self._probed.get(call, 0)) < 2:
                self._probed[call] = probes + 1
                call.probe()

    def _marks_of_strays(self, calls: Iterable[RunningCall]) -> set[float | None]:
        """Return the marks of the tasks that requests have started, and of no others."""
        strays = asyncio.all_tasks(self._service.loop) - {call.task for call in calls}
        return {mark_of(task) for task in strays} - {None}


def is_young(service: Service, task: asyncio.Task[None] | None) -> bool:
    """Return whether the request of this task has begun only just now."""
    mark = mark_of(task)
    return mark is not None and service.loop.time() - mark < _YOUNG


def mark_of(task: asyncio.Task[Any] | None) -> float | None:
    """Return when the task's request began, at most a second later; None for no request."""
    context = None if task is None else _context_of(task)
    return None if context is None else context.get(MARK)


if sys.version_info >= (3, 12):

    def _context_of(task: asyncio.Task[Any]) -> Context | None:
        return task.get_context()

else:

    def _context_of(task: asyncio.Task[Any]) -> Context | None:
        """Return a task's context; on 3.11 a task has no method for it, but the collector knows."""
        for referent in gc.get_referents(task):
            if isinstance(referent, Context):
                return referent
        return None
