"""What a worker counts and measures: the names of the words in its row.

Numbers are counters: they only rise, so those of all workers, and of the dead, can be added.
Gauges are what is now. What must not live here: counting (counts/tally.py).
"""

from __future__ import annotations

from typing import Final

BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5),
    *(0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Seconds, the upper bounds of buckets: those that OpenTelemetry advises for
http.server.request.duration. One more bucket is for what took longer."""
BUCKETS: Final = len(BOUNDS) + 1

CLASSES: Final = ("left", "1xx", "2xx", "3xx", "4xx", "5xx", "websocket", "other")
"""Of statuses: `left` is a client that left before it was answered (499 in the access log),
`websocket` a WebSocket that was open and has closed, whose seconds are how long it was open."""
LEFT, WEBSOCKET, OTHER = CLASSES.index("left"), CLASSES.index("websocket"), len(CLASSES) - 1
WIDTH: Final = 16
"""Words of a class: its buckets, then the sum of all durations in nanoseconds."""
SUM: Final = BUCKETS
"""The word of the sum in its class."""

(
    BYTES_IN,  # of request bodies
    BYTES_OUT,  # of response bodies
    DISCONNECTS,  # clients that left before their answer was complete
    MESSAGES_IN,  # of WebSockets
    MESSAGES_OUT,
    WEBSOCKET_BYTES_IN,
    WEBSOCKET_BYTES_OUT,
    BLOCKED,  # callbacks that held an event loop too long
    BLOCKED_NANOSECONDS,
    LOG_DROPPED,  # lines of the access log
    REQUESTS,  # calls of the application that have begun
    CPU_NANOSECONDS,
) = range(len(CLASSES) * WIDTH, len(CLASSES) * WIDTH + 12)

REFUSED: Final = len(CLASSES) * WIDTH + 16
"""Where requests that were refused begin, by status."""
REFUSALS: Final = (400, 408, 413, 414, 417, 426, 431, 501, 503, 505, 507)
"""Those counted by themselves; all others are the one behind."""
NUMBERS: Final = REFUSED + 16

(
    IN_FLIGHT,  # requests being served, WebSockets not counted
    WEBSOCKETS,  # open
    THREADS_BUSY,
    THREADS_LIMIT,  # 0 without threads
    QUEUE,  # requests that wait for a thread
    LAG_NANOSECONDS,  # how late the event loop was at its tick
    CONNECTIONS_LIMIT,  # 0 for none
    CONCURRENCY_LIMIT,  # 0 for none
) = range(8)
GAUGES: Final = 8

WINDOW_WORDS: Final = 20
"""A window: when it began, the processor's nanoseconds and the requests until then, and how many
answers of all classes but WebSockets there were until then in each bucket."""
WINDOW_SECONDS: Final = 30.0
"""A new window begins so often; the one before is kept, so that a reader always has one of this
length at least, once the worker is as old."""
WINDOW_AT, WINDOW_CPU, WINDOW_REQUESTS, WINDOW_BUCKETS = range(4)
