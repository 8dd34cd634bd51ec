"""A server's numbers in Prometheus' text format, version 0.0.4.

What lives here: the names, types and units of all metrics, and how a line is written. What must
not: reading the shared memory (counts/snapshot.py), answering (pages.py).

Labels are places of workers, never pids, and nothing that a client has sent is one: so the number
of series is bounded, and a series goes on when a worker is replaced. Where two workers have one
place for a moment, gauges are added. Counters are those of all workers that have ever been.

A metric is one line of a table: `help` tells its unit where the name does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from bare_serve.counts import numbers
from bare_serve.counts.records import Counters, Snapshot, Worker
from bare_serve.ops.listen_queues import Queue
from bare_serve.ops.processes import Process

MEDIA_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "bare_serve_"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]
Samples = Iterable[Sample]

NONE: Final[Labels] = {}


def render(
    snapshot: Snapshot, processes: Mapping[int, Process], queues: Mapping[str, Queue]
) -> bytes:
    """Return all metrics, in seconds and bytes.

    `processes`: what the system says of workers, by pid; `queues`: of listeners, by address; both
    as far as it does.
    """
    lines: list[str] = []
    for name, kind, text, samples in (*_families(snapshot, processes), *_of_listeners(queues)):
        found = [*samples]
        if found:
            full = PREFIX + name
            lines += (f"# HELP {full} {text}", f"# TYPE {full} {kind}")
            lines += (f"{full}{_labels(labels)} {_number(value)}" for labels, value in found)
    lines += _durations(snapshot.counters())
    return "\n".join((*lines, "")).encode()


_Family = tuple[str, str, str, Samples]


def _families(snapshot: Snapshot, processes: Mapping[int, Process]) -> Iterator[_Family]:
    counters = snapshot.counters()
    yield from _of_requests(counters)
    yield from _of_load(snapshot)
    yield from _of_event_loops(snapshot, counters)
    yield from _of_websockets(snapshot, counters)
    yield from _of_workers(snapshot, counters, processes)
    yield from _of_the_server(snapshot)


def _of_requests(counters: Counters) -> Iterator[_Family]:
    yield (
        "http_requests_total",
        "counter",
        "Requests that were answered, by class of status; left: the client was gone before.",
        _by("code", {code: float(counters.durations[code].answers) for code in _codes()}),
    )
    for name, value, text in (
        ("http_requests_begun_total", counters.requests, "Calls of the application."),
        ("http_request_body_bytes_total", counters.bytes_in, "Bytes of request bodies."),
        ("http_response_body_bytes_total", counters.bytes_out, "Bytes of response bodies."),
        (
            "http_client_disconnects_total",
            counters.disconnects,
            "Clients that left before their answer was complete.",
        ),
    ):
        yield name, "counter", text, [(NONE, value)]
    yield (
        "http_refused_total",
        "counter",
        "Requests that the server refused by itself, by status.",
        _by("status", counters.refused),
    )


def _of_load(snapshot: Snapshot) -> Iterator[_Family]:
    workers = _counting(snapshot)
    for name, text, of in (
        ("requests_in_flight", "Requests being served.", lambda each: each.in_flight),
        ("requests_queued", "Requests that wait for a thread.", lambda each: each.queue),
        ("connections", "Connections that are open.", lambda each: each.connections),
    ):
        yield name, "gauge", text, _per_place(workers, of)
    limits: tuple[tuple[str, str, Callable[[Worker], float]], ...] = (
        ("threads_limit", "Threads for calls.", lambda each: each.threads_limit),
        ("connections_limit", "Of --limit-connections.", lambda each: each.connections_limit),
        ("concurrency_limit", "Of --limit-concurrency.", lambda each: each.concurrency_limit),
    )
    for name, text, limit in limits:
        yield name, "gauge", text, _per_place([each for each in workers if limit(each)], limit)
    threaded = [each for each in workers if each.threads_limit]
    yield (
        "threads_busy",
        "gauge",
        "Threads that are in a call.",
        _per_place(threaded, lambda each: each.threads_busy),
    )


def _of_listeners(queues: Mapping[str, Queue]) -> Iterator[_Family]:
    waiting = {address: queue.waiting for address, queue in queues.items()}
    limits = {address: queue.limit for address, queue in queues.items()}
    text = "Connections that wait to be accepted."
    yield "listen_queue", "gauge", text, _by("address", waiting)
    yield "listen_queue_limit", "gauge", "As many as can wait.", _by("address", limits)


def _of_event_loops(snapshot: Snapshot, counters: Counters) -> Iterator[_Family]:
    loops = [each for each in _counting(snapshot) if each.interface == "ASGI"]
    yield (
        "event_loop_lag_seconds",
        "gauge",
        "How late the event loop was at its last tick.",
        _per_place(loops, lambda each: each.loop_lag, max),
    )
    yield (
        "event_loop_blocked_total",
        "counter",
        "Callbacks that held an event loop for longer than --warn-blocked.",
        [(NONE, counters.blocked)],
    )
    yield (
        "event_loop_blocked_seconds_total",
        "counter",
        "For how long they held it.",
        [(NONE, counters.blocked_seconds)],
    )


def _of_websockets(snapshot: Snapshot, counters: Counters) -> Iterator[_Family]:
    workers = _counting(snapshot)
    yield (
        "websockets_open",
        "gauge",
        "WebSockets that are open.",
        _per_place(workers, lambda each: each.websockets),
    )
    closed = counters.durations["websocket"]
    yield (
        "websockets_closed_total",
        "counter",
        "WebSockets that were open.",
        [(NONE, closed.answers)],
    )
    yield (
        "websocket_open_seconds_total",
        "counter",
        "For how long those were open.",
        [(NONE, closed.seconds)],
    )
    yield (
        "websocket_messages_total",
        "counter",
        "Messages of WebSockets, by direction.",
        _by("direction", {"in": counters.messages_in, "out": counters.messages_out}),
    )
    both = {"in": counters.websocket_bytes_in, "out": counters.websocket_bytes_out}
    yield (
        "websocket_bytes_total",
        "counter",
        "Bytes of these messages.",
        _by("direction", both),
    )


def _of_workers(
    snapshot: Snapshot, counters: Counters, processes: Mapping[int, Process]
) -> Iterator[_Family]:
    master, workers = snapshot.master, snapshot.workers
    states = dict.fromkeys(("starting", "serving", "leaving", "being ended"), 0)
    for worker in workers:
        states[worker.state] = states.get(worker.state, 0) + 1
    yield "workers", "gauge", "Worker processes, by state.", _by("state", states)
    yield "workers_wanted", "gauge", "Workers there shall be.", [(NONE, master.workers_wanted)]
    yield "worker_starts_total", "counter", "Workers started.", [(NONE, master.worker_starts)]
    yield (
        "worker_exits_total",
        "counter",
        "Workers that have ended, by reason.",
        _by("reason", master.worker_exits),
    )
    yield (
        "worker_cpu_seconds_total",
        "counter",
        "Time of the processor that workers took.",
        [(NONE, counters.cpu_seconds)],
    )
    newest = {worker.number: worker for worker in workers}  # the older one comes first
    yield (
        "worker_start_time_seconds",
        "gauge",
        "When the worker was started, since 1970.",
        _per_place(newest.values(), lambda each: snapshot.at - each.age),
    )
    yield (
        "worker_silent_seconds",
        "gauge",
        "Time since the worker's last sign of life.",
        _per_place(
            [each for each in newest.values() if each.silent_for is not None],
            lambda each: each.silent_for or 0.0,
        ),
    )
    for name, text, of in (
        ("worker_resident_memory_bytes", "Memory, what is shared counted whole.", 0),
        ("worker_memory_bytes", "Memory, what is shared counted in proportion.", 1),
        ("worker_open_fds", "Descriptors that are open.", 2),
    ):
        told = {
            worker.number: value
            for worker in newest.values()
            if (value := processes.get(worker.pid, Process())[of]) is not None
        }
        yield name, "gauge", text, _by("worker", told)


def _of_the_server(snapshot: Snapshot) -> Iterator[_Family]:
    master = snapshot.master
    yield (
        "reloads_total",
        "counter",
        "Reloads and replacements, by result.",
        _by(
            "result",
            {
                "reloaded": master.reloads.get("reloaded", 0),
                "failed": master.reloads.get("not reloaded", 0),
            },
        ),
    )
    if master.last_reload_at:
        yield (
            "last_reload_timestamp_seconds",
            "gauge",
            "When the last one ended, since 1970.",
            [(NONE, master.last_reload_at)],
        )
        good = float(master.last_reload == "reloaded")
        yield "last_reload_successful", "gauge", "Whether it went well.", [(NONE, good)]
    yield (
        "start_time_seconds",
        "gauge",
        "When the server was started, since 1970.",
        [(NONE, master.started_at)],
    )
    yield (
        "stopping",
        "gauge",
        "Whether a stop was asked for.",
        [(NONE, float(master.state == "stopping"))],
    )
    yield (
        "master_beat_age_seconds",
        "gauge",
        "Time since the master's loop has turned.",
        [(NONE, master.beat_for)],
    )
    yield (
        "access_log_dropped_total",
        "counter",
        "Lines of the access log that were dropped.",
        [(NONE, snapshot.counters().log_dropped)],
    )
    if isinstance(expires := master.facts.get("certificate_expires"), (int, float)):
        yield (
            "tls_certificate_expiry_timestamp_seconds",
            "gauge",
            "When the certificate expires, since 1970.",
            [(NONE, expires)],
        )
    facts = {
        name: str(master.facts[name]) for name in ("version", "interface") if master.facts.get(name)
    }
    yield "build_info", "gauge", "What serves.", [(facts, 1)]


def _durations(counters: Counters) -> Iterator[str]:
    """Yield the one histogram, whose buckets are cumulated."""
    name = f"{PREFIX}http_request_duration_seconds"
    yield f"# HELP {name} From the head of a request to the end of its answer."
    yield f"# TYPE {name} histogram"
    bounds = [*map(_number, numbers.BOUNDS), "+Inf"]
    for code in _codes():
        found, so_far = counters.durations[code], 0
        for bound, count in zip(bounds, found.buckets, strict=True):
            so_far += count
            yield f'{name}_bucket{{code="{code}",le="{bound}"}} {so_far}'
        yield f'{name}_sum{{code="{code}"}} {_number(found.seconds)}'
        yield f'{name}_count{{code="{code}"}} {so_far}'


def _codes() -> list[str]:
    return [name for name in numbers.CLASSES if name != "websocket"]


def _counting(snapshot: Snapshot) -> list[Worker]:
    """Return the workers that have published what they count."""
    return [each for each in snapshot.workers if each.published_for is not None]


def _by(label: str, values: Mapping[str, float] | Mapping[int, float]) -> list[Sample]:
    return [({label: str(name)}, value) for name, value in values.items()]


def _per_place(
    workers: Iterable[Worker],
    of: Callable[[Worker], float],
    both: Callable[[float, float], float] = lambda one, other: one + other,
) -> list[Sample]:
    """Return a sample for each place; `both` makes one value of those of two workers there."""
    found: dict[int, float] = {}
    for worker in workers:
        value = of(worker)
        place = worker.number
        found[place] = both(found[place], value) if place in found else value
    return _by("worker", found)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return repr(float(value)) if value != int(value) else str(int(value))
