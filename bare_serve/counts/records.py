"""Plain records of a server at one moment, and sums and quantiles of them.

What lives here: the records that snapshot.py makes, and what follows from them alone. What must
not: shared memory, processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bare_serve.counts import numbers


class Histogram(NamedTuple):
    """How long answers took."""

    buckets: tuple[int, ...]
    """Answers of each bucket, not cumulated: one for each of numbers.BOUNDS, one for the rest."""
    seconds: float
    """The sum of all durations."""

    @property
    def answers(self) -> int:
        """How many."""
        return sum(self.buckets)


class Counters(NamedTuple):
    """Numbers that only rise, of one worker or of several."""

    requests: int
    """Calls of the application that have begun."""
    durations: dict[str, Histogram]
    """By class: each of numbers.CLASSES."""
    bytes_in: int
    bytes_out: int
    disconnects: int
    refused: dict[str, int]
    """By status, `other` for the rest: requests that the server refused by itself."""
    messages_in: int
    messages_out: int
    websocket_bytes_in: int
    websocket_bytes_out: int
    blocked: int
    """Callbacks that held an event loop for longer than --warn-blocked."""
    blocked_seconds: float
    log_dropped: int
    """Lines of the access log."""
    cpu_seconds: float

    @classmethod
    def of(cls, words: Sequence[int]) -> Counters:
        """Return what numbers.NUMBERS words say."""
        durations = {}
        for index, name in enumerate(numbers.CLASSES):
            first = index * numbers.WIDTH
            buckets = tuple(words[first : first + numbers.BUCKETS])
            durations[name] = Histogram(buckets, words[first + numbers.SUM] / 1e9)
        refused = {
            str(status): words[numbers.REFUSED + index]
            for index, status in enumerate((*numbers.REFUSALS, "other"))
        }
        return cls(
            requests=words[numbers.REQUESTS],
            durations=durations,
            bytes_in=words[numbers.BYTES_IN],
            bytes_out=words[numbers.BYTES_OUT],
            disconnects=words[numbers.DISCONNECTS],
            refused=refused,
            messages_in=words[numbers.MESSAGES_IN],
            messages_out=words[numbers.MESSAGES_OUT],
            websocket_bytes_in=words[numbers.WEBSOCKET_BYTES_IN],
            websocket_bytes_out=words[numbers.WEBSOCKET_BYTES_OUT],
            blocked=words[numbers.BLOCKED],
            blocked_seconds=words[numbers.BLOCKED_NANOSECONDS] / 1e9,
            log_dropped=words[numbers.LOG_DROPPED],
            cpu_seconds=words[numbers.CPU_NANOSECONDS] / 1e9,
        )

    @property
    def answers(self) -> Histogram:
        """All answers but those of WebSockets."""
        kept = [each for name, each in self.durations.items() if name != "websocket"]
        columns = zip(*(each.buckets for each in kept), strict=True)
        return Histogram(tuple(map(sum, columns)), sum(each.seconds for each in kept))


class Window(NamedTuple):
    """What a worker has done lately."""

    seconds: float
    """How long lately is; 0 for a worker that has only begun."""
    requests: int
    cpu_seconds: float
    buckets: tuple[int, ...]
    """Answers of all classes but WebSockets, as in Histogram."""


class InFlight(NamedTuple):
    """One request that is being served."""

    age: float
    """Seconds since it began, when this was written."""
    thread: str
    """The thread as its name has it; empty for a task of an event loop."""
    ident: int
    """The same thread as a dump of stacks names it; 0 for none."""
    where: str
    """`file.py:12 in function`, the application's innermost line; empty if nothing is known."""
    request: str
    """Method and target."""


class Worker(NamedTuple):
    """One worker process."""

    row: int
    number: int
    """Its place, from 1; two workers have the same while one takes the place of the other."""
    pid: int
    """As its master sees it, in the master's namespace."""
    state: str
    """One of layout.SEAT_STATES."""
    order: int
    """Rises with each start."""
    age: float
    """Seconds since it was forked."""
    ready_for: float | None
    """Seconds since it became ready; None before."""
    silent_for: float | None
    """Seconds since its last sign of life; None before the first."""
    published_for: float | None
    """Seconds since it wrote the numbers below; None for never (--no-counts)."""
    interface: str
    """WSGI, ASGI, or empty before it is known."""
    connections: int
    connections_limit: int
    in_flight: int
    concurrency_limit: int
    websockets: int
    threads_busy: int
    threads_limit: int
    """0 for a worker that has an event loop."""
    queue: int
    """Requests that wait for a thread."""
    loop_lag: float
    """Seconds that the event loop was late at its last tick."""
    counters: Counters
    recent: Window
    doing: str
    """What it was doing at its last tick, in one line."""
    look_signal: int
    """Has it write its requests in flight at once; 0 if the application has that signal."""
    stacks_signal: int
    """Has it write its stacks into the memory called layout.STACKS; 0 as above."""
    flight_written_for: float | None
    """Seconds since the requests in flight were written; None for never."""
    flight: tuple[InFlight, ...]


class Event(NamedTuple):
    """One entry of the history."""

    number: int
    """Counts from 1 and rises by 1; numbers that are missing have been overwritten."""
    at: float
    """Seconds since 1970."""
    kind: str
    """One of layout.EVENT_KINDS."""
    worker: int
    """A worker's number; 0 for the server."""
    pid: int
    reason: str
    """Why a worker ended, one of layout.EXIT_REASONS; else empty."""
    text: str


class Master(NamedTuple):
    """The server as its master tells it."""

    pid: int
    """As it sees itself, in its namespace."""
    state: str
    """One of layout.STATES."""
    started_at: float
    """Seconds since 1970; a replacement by USR2 does not change it."""
    program_started_at: float
    generation: int
    """Programs that have been this process; rises with USR2."""
    uptime: float
    beat_for: float
    """Seconds since it last showed a sign of life."""
    workers_wanted: int
    last_reload_at: float
    """Seconds since 1970, its end; 0.0 for none."""
    last_reload: str
    """One of layout.RELOAD_RESULTS."""
    reloads: dict[str, int]
    """By result."""
    worker_starts: int
    worker_exits: dict[str, int]
    """By reason, one of layout.EXIT_REASONS."""
    blocked: int
    facts: dict[str, Any]
    """What it says of itself: `version`, `target`, `interface`, `addresses` (a list of URLs),
    `settings` (those that differ from the default, in words), `parser`, `loop`; a name may be
    missing."""


class Pulse(NamedTuple):
    """Whether a server lives and serves."""

    beat_for: float
    """Seconds since the master last showed a sign of life."""
    state: str
    """One of layout.STATES."""
    wanted: int
    """Workers there shall be."""
    serving: int
    """Workers that serve."""


class Snapshot(NamedTuple):
    """A server at one moment."""

    at: float
    """Seconds since 1970."""
    master: Master
    workers: tuple[Worker, ...]
    """By number, the older one first."""
    dead: Counters
    """Of workers that have ended."""
    history: tuple[Event, ...]
    """The oldest first."""

    @property
    def serving(self) -> int:
        """Workers that serve."""
        return sum(worker.state == "serving" for worker in self.workers)

    def counters(self) -> Counters:
        """Return the sum of all workers, those that have ended included: it never falls."""
        return add([self.dead, *(worker.counters for worker in self.workers)])

    def to_json(self) -> dict[str, Any]:
        """Return all of it, of types that JSON has; the names are those of the records."""
        value = _plain(self)
        assert isinstance(value, dict)
        value["serving"] = self.serving
        value["counters"] = _plain(self.counters())
        return value


def add(several: Iterable[Counters]) -> Counters:
    """Return the sum of counters."""
    each = [*several]
    total = Counters.of([0] * numbers.NUMBERS)
    for one in each:
        durations = {
            name: Histogram(
                tuple(map(sum, zip(total.durations[name].buckets, found.buckets, strict=True))),
                _exact(total.durations[name].seconds + found.seconds),
            )
            for name, found in one.durations.items()
        }
        refused = {name: total.refused[name] + count for name, count in one.refused.items()}
        sums: dict[str, Any] = {
            name: _exact(getattr(total, name) + getattr(one, name))
            for name in Counters._fields
            if name not in ("durations", "refused")
        }
        total = Counters(durations=durations, refused=refused, **sums)
    return total


def _exact(value: Any) -> Any:
    """Return seconds rounded to nanoseconds: a sum of floats could fall by its last bit."""
    return round(value, 9) if isinstance(value, float) else value


def quantile(buckets: Sequence[int], part: float) -> float | None:
    """Return within how many seconds that part of the answers came, as far as buckets tell.

    Between the bounds of its bucket the answers are taken to be evenly spread. None without
    answers; of those beyond the last bound no more is known than that.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, seen = part * total, 0
    for index, count in enumerate(buckets):
        if count and seen + count >= wanted:
            if index == len(numbers.BOUNDS):
                break
            low = numbers.BOUNDS[index - 1] if index else 0.0
            return low + (numbers.BOUNDS[index] - low) * max(0.0, wanted - seen) / count
        seen += count
    return numbers.BOUNDS[-1]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value
