"""The shared memory of a server: what stands where.

One mapping. First the pages of the master: its words, the numbers of the dead, its facts as JSON,
a seat for each row, and its history. Then a row for each worker, which maps its own row and no
other. All words are signed and 64 bits wide, in the byte order of the machine. Times are in
nanoseconds of the monotonic clock, which all processes share; those called `_WALL` are since 1970.

A group of words that belong together has a sequence word before it: odd while the group is
written. A reader takes the group between two equal and even ones.

Who writes: a worker its row, but for WATCHED_UNTIL and the order in it; whoever looks these and the
order to the master; the master all else. What must not live here: reading (snapshot.py), writing
(numbers.py names what is counted; counts/tally.py and supervision/scoreboard.py write).
"""

from __future__ import annotations

import mmap
from typing import Final, NamedTuple

LAYOUT: Final = 4
"""To be counted up with every change here and in numbers.py: another version may read the memory.

MAGIC, LAYOUT and their places stay for ever, so that any version can tell that it cannot read."""
MAGIC: Final = int.from_bytes(b"bare-srv", "little")
MEMORY: Final = "bare-serve-counts"
"""The name of the memory, as links in /proc/PID/fd show it."""
STACKS: Final = "bare-serve-stacks"
"""The name of the memory that a worker's stacks are written to, when somebody asks."""
RECORDS: Final = "bare-serve-xray"
"""How the name of the memory begins that a worker writes records of requests to, while attached."""

# ------------------------------------------------------------------ the master's words

(
    HEAD_MAGIC,
    HEAD_LAYOUT,
    HEAD_SEQUENCE,  # of all that the master writes but the beat
    HEAD_PID,  # as the master sees itself, in its namespace
    HEAD_ROWS,
    HEAD_BEAT,
    HEAD_STARTED_WALL,  # of the first program of this process
    HEAD_PROGRAM_WALL,  # of this one
    HEAD_GENERATION,  # programs so far; the first is 1
    HEAD_WANTED,  # workers
    HEAD_STATE,
    HEAD_FACTS,  # bytes of them
    HEAD_EVENTS,  # so many have been written to the history
    HEAD_RELOADED_WALL,  # the end of the last reload
    HEAD_RELOAD_RESULT,
    HEAD_ORDER_SIGNAL,  # tells the master of an order; 0 if the application has that signal
) = range(16)
STARTING, SERVING, RELOADING, STOPPING = range(4)
STATES: Final = ("starting", "serving", "reloading", "stopping")
NOT_YET, RELOADED, NOT_RELOADED = range(3)
RELOAD_RESULTS: Final = ("", "reloaded", "not reloaded")

TOTALS: Final = 64
"""Where the master's own counters begin: worker starts, reloads by result, exits by reason."""
TOTAL_STARTS, TOTAL_RELOADED, TOTAL_NOT_RELOADED, TOTAL_BLOCKED = range(TOTALS, TOTALS + 4)
TOTAL_EXITS: Final = TOTALS + 8
EXIT_REASONS: Final = (
    "asked",  # by a stop, by a signal to the worker, or one worker fewer
    "reload",
    "recycled",  # --max-requests
    "lifetime",  # --max-lifetime
    "memory",  # --max-memory
    "timeout",  # silent for --timeout-worker, or not ready within --timeout-boot; killed
    "late",  # asked, and not done within the grace period; killed
    "crash",  # an exit code, or a signal that is no SIGKILL
    "oom",  # by the kernel, for want of memory
    "killed",  # SIGKILL that is not from this server
    "boot",  # it never became ready
    "replaced",  # by an operator
)

ORDER: Final = 128
"""An order to the master by whoever may open the memory: a number that rises, the verb and its
argument; the master answers by the same number and a result. A signal says that there is one."""
ORDER_NUMBER, ORDER_VERB, ORDER_ARGUMENT, ORDER_DONE, ORDER_RESULT = range(ORDER, ORDER + 5)
REPLACE: Final = 1
ACCEPTED, NO_SUCH_WORKER, BUSY = range(1, 4)

DEAD: Final = 256
"""Where the numbers of workers begin that have ended: NUMBERS words."""

# ------------------------------------------------------------------ a seat: who has a row

SEAT_WORDS: Final = 8
SEAT_PLACE, SEAT_PID, SEAT_STATE, SEAT_STARTED, SEAT_READY, SEAT_ORDER = range(6)
"""Of a row without a worker all are 0. PLACE is the number of the worker, from 1; READY is 0 until
the worker is. ORDER rises with each start."""
SEAT_STATES: Final = ("", "starting", "serving", "leaving", "being ended")

# ------------------------------------------------------------------ the history

EVENTS: Final = 256
EVENT_BYTES: Final = 256
EVENT_WALL, EVENT_KIND, EVENT_PLACE, EVENT_PID, EVENT_REASON, EVENT_LENGTH = range(6)
EVENT_TEXT: Final = 64
"""Where the text of an event begins, in bytes."""
EVENT_KINDS: Final = (
    "",
    "started",  # the server
    "replaced",  # the server, by USR2: another program goes on in the process
    "worker started",
    "worker ready",
    "worker ended",  # REASON is an index of EXIT_REASONS, plus 1
    "reloading",
    "reloaded",
    "not reloaded",
    "blocked",  # an event loop was, by one callback
    "stopping",
    "worker not replaced",  # its successor has failed, and it goes on
)

# ------------------------------------------------------------------ a worker's row

(
    ROW_BEAT,
    ROW_CONNECTIONS,
    ROW_REQUESTS,
    ROW_DOING,  # bytes of that text
    ROW_SEQUENCE,  # of gauges, numbers and windows
    ROW_INTERFACE,
    ROW_LOOK_SIGNAL,  # has the requests in flight written at once; 0 for none
    ROW_STACKS_SIGNAL,  # has stacks written; 0 for none
    ROW_WATCHED_UNTIL,  # until then requests in flight are written on each tick
    ROW_FLIGHT_SEQUENCE,
    ROW_FLIGHT_AT,  # when they were written
    ROW_FLIGHT,  # bytes of them
    ROW_PUBLISHED,  # when gauges, numbers and windows were
) = range(13)
INTERFACES: Final = ("", "WSGI", "ASGI")
ROW_GAUGES: Final = 16
ROW_NUMBERS: Final = 32
ROW_WINDOWS: Final = 224
"""Two windows; see WINDOW_WORDS in numbers.py."""
(
    ROW_XRAY_OFFERED,  # 1: requests can be shown to who attaches to the worker
    ROW_XRAY_OBEYED,  # the number of the order that the worker obeys; 0 for none
    ROW_XRAY_NUMBER,  # of the order; written last
    ROW_XRAY_UNTIL,  # the order is void from then on; who looks puts it off again and again
    ROW_XRAY,  # bytes of the order, JSON
) = range(288, 293)
"""An order to show requests, by whoever may open the memory: see xray_order.py."""
ROW_WORDS: Final = 296
ROW_XRAY_TEXT: Final = 8 * ROW_WORDS
"""Where that JSON begins, in bytes."""
LONGEST_XRAY: Final = 640
LONGEST_LEASE: Final = 6_000_000_000
"""Nanoseconds. An order whose end is further away is void: it would go on with nobody looking."""
ROW_TEXT: Final = 3072
"""Where the text begins that says what a worker was doing at its last tick, in bytes."""
LONGEST_TEXT: Final = 960
ROW_IN_FLIGHT: Final = 4096
"""Where the requests in flight begin, in bytes: lines of age in microseconds, thread, place, line
of the application, and request, with tabs between them. Written only while somebody looks, so that
the page is none else."""
LONGEST_IN_FLIGHT: Final = 4096

ROW: Final = max(8192, mmap.ALLOCATIONGRANULARITY)
"""Bytes of a row: what can be mapped by itself."""
_FACTS_BYTES: Final = 16384


def _pages(size: int) -> int:
    return -(-size // ROW) * ROW


class Layout(NamedTuple):
    """Where the parts of the memory begin, in bytes."""

    rows: int
    facts: int
    seats: int
    history: int
    first_row: int

    @classmethod
    def of(cls, rows: int) -> Layout:
        """Return that of a memory with so many rows."""
        facts = ROW
        seats = facts + _pages(_FACTS_BYTES)
        history = seats + _pages(rows * SEAT_WORDS * 8)
        return cls(rows, facts, seats, history, history + _pages(EVENTS * EVENT_BYTES))

    @property
    def size(self) -> int:
        """Bytes of the whole memory."""
        return self.first_row + self.rows * ROW

    @property
    def longest_facts(self) -> int:
        """Bytes of facts that there is room for."""
        return self.seats - self.facts

    def row(self, number: int) -> int:
        """Return where the row of that number begins, the first is 0."""
        return self.first_row + number * ROW
