"""How workers are kept, and the places they fill: what the supervisor decides by.

Policy is the slice of the settings that the master needs. A Place is one of the N workers
wanted; its holder may change. Neither starts, stops or asks anything.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from bare_serve.counts import layout
from bare_serve.supervision.child import Child, State


class Policy(NamedTuple):
    """How workers are kept. Durations in seconds; 0 turns a timeout or a maximum off."""

    workers: int = 1
    timeout_boot: float = 60.0
    timeout_graceful_shutdown: float = 30.0
    drain_delay: float = 0.0
    """How long a stop is put off, in which the server goes on serving."""
    timeout_worker: float = 0.0
    max_requests: int = 0
    max_requests_jitter: int | None = None
    max_memory: int = 0
    max_lifetime: float = 0.0
    counts: bool = True
    """The master shows a sign of life each second, and looks at what workers count."""
    preload: bool = False
    """The application is in the master: new code takes a new master."""
    backoff_first: float = 0.5
    backoff_most: float = 15.0
    stable_after: float = 2.0

    def backoff(self, crashes: int) -> float:
        """Return how long to wait after so many crashes in a row: not at all after the first."""
        if crashes < 2:
            return 0.0
        return min(self.backoff_most, self.backoff_first * 2.0 ** min(crashes - 2, 32))

    def most_after_a_kill(self, others_serve: bool) -> float:
        """Return the longest wait after a worker that served was killed, and not by us.

        By an operator, or for want of memory: that may go on, so the processor is spared, but the
        service is not to be down for it.
        """
        return 0.5 if others_serve else 0.1

    @property
    def looks_at_workers(self) -> bool:
        """Whether the rows of the workers have to be looked at from time to time."""
        return bool(
            self.timeout_worker or self.max_requests or self.max_memory or self.max_lifetime
        )

    def requests_of_one(self) -> int:
        """After how many requests one worker is replaced: not the same for all of them."""
        if not self.max_requests:
            return 0
        jitter = self.max_requests_jitter
        if jitter is None:
            jitter = self.max_requests // 10
        return self.max_requests + round(jitter * _by_chance())

    def lifetime_of_one(self) -> float:
        """After how many seconds one worker is replaced: up to a tenth sooner."""
        return self.max_lifetime and self.max_lifetime * (1 - 0.1 * _by_chance())


def _by_chance() -> float:
    # Not by the module: the directory of --hooks comes first by now, and may have a random.py.
    return int.from_bytes(os.urandom(4), "big") / (1 << 32)


class WornOut(NamedTuple):
    """Why a worker has to be replaced although it is of the newest code."""

    reason: str
    """One of counts/layout.EXIT_REASONS."""
    text: str
    """Goes on a sentence that begins with the worker."""


class Place:
    """One of the workers wanted."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.holder: Child | None = None
        self.successor: Child | None = None
        self.crashes = 0
        self.due = 0.0
        """No worker is started before."""
        self.outdated = False
        """A reload wants another holder."""
        self.replace_reason: WornOut | None = None
        self.leaving_for = ""
        """Why the holder is asked to leave once its successor is ready."""
        self.is_reload = False
        """The successor is there because of a reload."""
        self.has_served = False
        """The banner reports its first holder, the log the next ones."""

    def try_again(self, policy: Policy, *, forget: bool = False, most: float = math.inf) -> str:
        """Set when the place is filled again, after `most` seconds at most; return that in words.

        `forget` has this crash be the first of its row, which is forgiven.
        """
        self.crashes = 0 if forget else self.crashes + 1
        delay = min(policy.backoff(self.crashes), most)
        self.due = time.monotonic() + delay
        return f"The next attempt is in {delay:g} s." if delay else "It is replaced at once."


def _age(place: Place) -> int:
    return place.holder.order if place.holder is not None else 0


class Places(list[Place]):
    """All the workers wanted, in order of their numbers."""

    def __init__(self, count: int) -> None:
        super().__init__(Place(index) for index in range(1, count + 1))

    def of(self, child: Child) -> Place | None:
        """Return the child's place, held or to be held; None for a child that only has to leave."""
        for place in self:
            if child is place.holder or child is place.successor:
                return place
        return None

    def adopt(self, children: Sequence[Child]) -> Sequence[Child]:
        """Have the children of another master hold the places until they are replaced.

        Return those that there is no place for.
        """
        for place, child in zip(self, children, strict=False):
            place.holder, place.outdated, place.has_served = child, True, True
        return children[len(self) :]

    def outdate(self) -> None:
        """Have a reload begin: every place is to have a new holder."""
        for place in self:
            place.outdated = True
            place.crashes = 0
            place.due = 0.0

    def resize(self, wanted: int) -> list[Child]:
        """Have so many places; return the children that had those of the highest numbers."""
        while len(self) < wanted:
            self.append(Place(len(self) + 1))
        gone = [self.pop() for _ in range(len(self) - wanted)]
        children = [child for place in gone for child in (place.holder, place.successor)]
        return [child for child in children if child is not None]

    def replace_on_order(self, index: int) -> int:
        """Have the worker of that number replaced; return one of the results in layout.py."""
        place = next((each for each in self if each.index == index), None)
        if place is None or place.holder is None or place.holder.state is not State.READY:
            return layout.NO_SUCH_WORKER
        if place.successor is not None or place.outdated:
            return layout.BUSY
        place.replace_reason = WornOut("replaced", "has to leave by order of an operator")
        return layout.ACCEPTED

    @property
    def anybody_serves(self) -> bool:
        """A worker is ready, and was not asked to leave."""
        return any(place.holder and place.holder.state is State.READY for place in self)

    @property
    def are_renewed(self) -> bool:
        """A reload is going on."""
        return any(place.outdated or place.is_reload for place in self)

    @property
    def renewed(self) -> int:
        """How many have what the reload that goes on is to bring."""
        return sum(
            not (place.outdated or place.is_reload)
            and place.holder is not None
            and place.holder.state is State.READY
            for place in self
        )

    def next_to_replace(self, now: float) -> Place | None:
        """Return the place to renew now. One at a time: twice the memory is not needed.

        The oldest first, so that each has its turn however often a reload begins anew.
        """
        if any(place.successor for place in self):
            return None
        held = [place for place in self if place.holder is not None]
        old = [place for place in held if place.outdated]
        old = old or [place for place in held if place.replace_reason and place.due <= now]
        return min(old, key=_age, default=None)
