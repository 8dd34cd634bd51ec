"""A server at one moment, read from its shared memory: plain records, and the same as JSON.

    with Memory.of_process(pid) as memory:      # a master, from outside; or Memory(fd), inherited
        snapshot = memory.snapshot()            # master, workers, dead, history
        snapshot.counters()                     # of all workers, ended ones too: they never fall
        json.dumps(snapshot.to_json())
        memory.watch(2.0)                       # have workers say what is in flight, for so long

What stands in a worker's row is a claim of foreign code: a number that cannot be true counts as 0,
and texts are made fit for a terminal. So are the facts of a master, which may be another user's
process that only seems to be one. Nothing is opened but what is asked for, no process is signalled,
and only `watch` and `put_order` write, and who is given a row.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence

from bare_serve.counts import layout, numbers
from bare_serve.counts.claims import facts, printable
from bare_serve.counts.descriptors import Unreadable, open_memory
from bare_serve.counts.layout import Layout
from bare_serve.counts.records import (
    Counters,
    Event,
    InFlight,
    Master,
    Pulse,
    Snapshot,
    Window,
    Worker,
)

__all__ = ["Memory", "Unreadable"]

_MOST = 1 << 62
_TRIES = 200


class Memory:
    """The shared memory of a server, mapped."""

    def __init__(self, fd: int, *, writable: bool = True) -> None:
        """Map what `fd` is open on, which stays the caller's.

        Raises:
            Unreadable: another version of bare-serve has made the memory, or none has.
        """
        try:
            size = os.fstat(fd).st_size
            if size < layout.ROW:
                raise Unreadable("it is not the memory of a server")
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._mapping = mmap.mmap(fd, size, access=access)
        except (OSError, ValueError) as error:
            raise Unreadable(f"the memory cannot be mapped: {error}") from None
        self._memory = memoryview(self._mapping)
        self._head = self._memory[: layout.ROW].cast("q")
        try:
            self.layout = self._check(size)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of_process(cls, pid: int) -> Memory:
        """Map that of the master with this pid, as this process sees it.

        Raises:
            Unreadable: it is no master, or its memory is of another version.
            PermissionError: it is another user's.
            FileNotFoundError: there is no such process.
        """
        fd = open_memory(pid, layout.MEMORY)
        try:
            return cls(fd)
        finally:
            os.close(fd)

    def _check(self, size: int) -> Layout:
        head = self._head
        if head[layout.HEAD_MAGIC] != layout.MAGIC:
            raise Unreadable("it is not the memory of a server")
        if (found := head[layout.HEAD_LAYOUT]) != layout.LAYOUT:
            raise Unreadable(
                f"the server is of another version: its layout is {found}, and this version "
                f"reads {layout.LAYOUT}. Use the command that it was started by"
            )
        made = Layout.of(head[layout.HEAD_ROWS])
        if made.size != size:
            raise Unreadable("the size of the memory is not what it says")
        return made

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the memory."""
        self._head.release()
        self._memory.release()
        self._mapping.close()

    @property
    def pid(self) -> int:
        """The master's pid, as it sees itself."""
        return self._head[layout.HEAD_PID]

    @property
    def order_signal(self) -> int:
        """What tells the master of an order; 0 if nothing does."""
        return _signal(self._head[layout.HEAD_ORDER_SIGNAL])

    def snapshot(self) -> Snapshot:
        """Read all of it.

        Raises:
            Unreadable: the master writes all the time, or died while it wrote.
        """
        head = self._head
        for attempt in range(_TRIES):
            before = head[layout.HEAD_SEQUENCE]
            if not before & 1:
                found = self._read()
                if head[layout.HEAD_SEQUENCE] == before:
                    return found
            time.sleep(0.0001 * min(attempt, 20))
        raise Unreadable("the master does not finish what it writes")

    def pulse(self) -> Pulse:
        """Read only what probes ask for: some words, each of them whole by itself."""
        head, seats = self._head, self._seats()
        states = seats.tolist()[layout.SEAT_STATE :: layout.SEAT_WORDS]
        seats.release()
        return Pulse(
            beat_for=max(0, time.monotonic_ns() - head[layout.HEAD_BEAT]) / 1e9,
            state=_name(layout.STATES, head[layout.HEAD_STATE]),
            wanted=head[layout.HEAD_WANTED],
            serving=states.count(layout.SEAT_STATES.index("serving")),
        )

    def watch(self, seconds: float) -> None:
        """Have workers write their requests in flight on each of their ticks, for so long."""
        until = time.monotonic_ns() + int(seconds * 1e9)
        for row in self._seated():
            words = self._row_words(row)
            words[layout.ROW_WATCHED_UNTIL] = until
            words.release()

    def put_order(self, verb: int, argument: int) -> int:
        """Write an order to the master, which a signal has to tell of; return its number.

        One at a time: the caller holds a lock of the memory's descriptor.
        """
        head = self._head
        number = head[layout.ORDER_NUMBER] + 1
        head[layout.ORDER_VERB] = verb
        head[layout.ORDER_ARGUMENT] = argument
        head[layout.ORDER_NUMBER] = number
        return number

    def order_result(self, number: int) -> int:
        """Return what became of that order; 0 while the master has not looked at it."""
        head = self._head
        return head[layout.ORDER_RESULT] if head[layout.ORDER_DONE] >= number else 0

    def _seats(self) -> memoryview:
        begin = self.layout.seats
        return self._memory[begin : begin + self.layout.rows * 8 * layout.SEAT_WORDS].cast("q")

    def _seated(self) -> list[int]:
        seats = self._seats()
        width = layout.SEAT_WORDS
        taken = [row for row in range(self.layout.rows) if seats[row * width]]
        seats.release()
        return taken

    def row(self, row: int) -> memoryview:
        """Return the memory of a row, to be released."""
        return self._memory[(begin := self.layout.row(row)) : begin + layout.ROW]

    def _row_words(self, row: int) -> memoryview:
        return self.row(row)[: 8 * layout.ROW_WORDS].cast("q")

    def _read(self) -> Snapshot:
        head, now = self._head.tolist(), time.monotonic_ns()
        seats, width = self._seats().tolist(), layout.SEAT_WORDS
        workers = [
            self._worker(row, seats[row * width : (row + 1) * width], now)
            for row in range(self.layout.rows)
            if seats[row * width]
        ]
        workers.sort(key=lambda worker: (worker.number, worker.order))
        dead = Counters.of([*map(_count, head[layout.DEAD : layout.DEAD + numbers.NUMBERS])])
        master = self._master(head, now)
        return Snapshot(time.time(), master, tuple(workers), dead, self._history(head))

    def _master(self, head: Sequence[int], now: int) -> Master:
        begin = self.layout.facts
        text = bytes(self._memory[begin : begin + max(0, head[layout.HEAD_FACTS])])
        exits = layout.TOTAL_EXITS
        return Master(
            pid=head[layout.HEAD_PID],
            state=_name(layout.STATES, head[layout.HEAD_STATE]),
            started_at=head[layout.HEAD_STARTED_WALL] / 1e9,
            program_started_at=head[layout.HEAD_PROGRAM_WALL] / 1e9,
            generation=head[layout.HEAD_GENERATION],
            uptime=max(0.0, time.time() - head[layout.HEAD_STARTED_WALL] / 1e9),
            beat_for=max(0, now - head[layout.HEAD_BEAT]) / 1e9,
            workers_wanted=head[layout.HEAD_WANTED],
            last_reload_at=head[layout.HEAD_RELOADED_WALL] / 1e9,
            last_reload=_name(layout.RELOAD_RESULTS, head[layout.HEAD_RELOAD_RESULT]),
            reloads={
                "reloaded": head[layout.TOTAL_RELOADED],
                "not reloaded": head[layout.TOTAL_NOT_RELOADED],
            },
            worker_starts=head[layout.TOTAL_STARTS],
            worker_exits={
                name: head[exits + index] for index, name in enumerate(layout.EXIT_REASONS)
            },
            blocked=head[layout.TOTAL_BLOCKED],
            facts=facts(text),
        )

    def _worker(self, row: int, seat: Sequence[int], now: int) -> Worker:
        words = self._numbers(row)
        gauges = [*map(_count, words[layout.ROW_GAUGES : layout.ROW_GAUGES + numbers.GAUGES])]
        own = [*map(_count, words[layout.ROW_NUMBERS : layout.ROW_NUMBERS + numbers.NUMBERS])]
        begin = self.layout.row(row)
        doing = self._text(begin + layout.ROW_TEXT, words[layout.ROW_DOING], layout.LONGEST_TEXT)
        flown_at, flight = self._flight(row)
        ready, started = seat[layout.SEAT_READY], seat[layout.SEAT_STARTED]
        return Worker(
            row=row,
            number=seat[layout.SEAT_PLACE],
            pid=seat[layout.SEAT_PID],
            state=_name(layout.SEAT_STATES, seat[layout.SEAT_STATE]),
            order=seat[layout.SEAT_ORDER],
            age=max(0, now - started) / 1e9,
            ready_for=max(0, now - ready) / 1e9 if ready else None,
            silent_for=_since(words[layout.ROW_BEAT], now),
            published_for=_since(words[layout.ROW_PUBLISHED], now),
            interface=_name(layout.INTERFACES, words[layout.ROW_INTERFACE]),
            connections=_count(words[layout.ROW_CONNECTIONS]),
            connections_limit=gauges[numbers.CONNECTIONS_LIMIT],
            in_flight=gauges[numbers.IN_FLIGHT],
            concurrency_limit=gauges[numbers.CONCURRENCY_LIMIT],
            websockets=gauges[numbers.WEBSOCKETS],
            threads_busy=gauges[numbers.THREADS_BUSY],
            threads_limit=gauges[numbers.THREADS_LIMIT],
            queue=gauges[numbers.QUEUE],
            loop_lag=gauges[numbers.LAG_NANOSECONDS] / 1e9,
            counters=Counters.of(own),
            recent=_recent(words, own, now),
            doing=doing,
            look_signal=_signal(words[layout.ROW_LOOK_SIGNAL]),
            stacks_signal=_signal(words[layout.ROW_STACKS_SIGNAL]),
            flight_written_for=_since(flown_at, now),
            flight=flight,
        )

    def _numbers(self, row: int) -> list[int]:
        """Return the words of a row, between two equal and even sequence words if that can be.

        A worker that is killed in the middle leaves an odd one: then what is there is taken.
        """
        view = self._row_words(row)
        words: list[int] = view.tolist()
        for _ in range(20):
            before = view[layout.ROW_SEQUENCE]
            words = view.tolist()
            if not before & 1 and view[layout.ROW_SEQUENCE] == before:
                break
            time.sleep(0.0001)
        view.release()
        return words

    def _flight(self, row: int) -> tuple[int, tuple[InFlight, ...]]:
        begin, view = self.layout.row(row), self._row_words(row)
        text, at = "", 0
        for _ in range(20):
            before, at = view[layout.ROW_FLIGHT_SEQUENCE], view[layout.ROW_FLIGHT_AT]
            length = view[layout.ROW_FLIGHT]
            text = self._raw(begin + layout.ROW_IN_FLIGHT, length, layout.LONGEST_IN_FLIGHT)
            if not before & 1 and view[layout.ROW_FLIGHT_SEQUENCE] == before:
                break
            time.sleep(0.0001)
        view.release()
        found = [each for each in map(_in_flight, text.split("\n")) if each is not None]
        return at, tuple(sorted(found, key=lambda each: -each.age))

    def _raw(self, begin: int, length: int, most: int) -> str:
        length = min(max(length, 0), most)
        return bytes(self._memory[begin : begin + length]).decode("utf-8", "replace")

    def _text(self, begin: int, length: int, most: int) -> str:
        return printable(self._raw(begin, length, most))

    def _history(self, head: Sequence[int]) -> tuple[Event, ...]:
        written, found = head[layout.HEAD_EVENTS], []
        for number in range(max(0, written - layout.EVENTS), written):
            begin = self.layout.history + number % layout.EVENTS * layout.EVENT_BYTES
            words = self._memory[begin : begin + layout.EVENT_TEXT].cast("q")
            most = layout.EVENT_BYTES - layout.EVENT_TEXT
            text = self._text(begin + layout.EVENT_TEXT, words[layout.EVENT_LENGTH], most)
            reason = words[layout.EVENT_REASON]
            found.append(
                Event(
                    number=number + 1,
                    at=words[layout.EVENT_WALL] / 1e9,
                    kind=_name(layout.EVENT_KINDS, words[layout.EVENT_KIND]),
                    worker=words[layout.EVENT_PLACE],
                    pid=words[layout.EVENT_PID],
                    reason=_name(("", *layout.EXIT_REASONS), reason),
                    text=text,
                )
            )
            words.release()
        return tuple(found)


def _recent(words: Sequence[int], own: Sequence[int], now: int) -> Window:
    """Return what was done since the older of the two windows began."""
    begin, width = layout.ROW_WINDOWS, numbers.WINDOW_WORDS
    both = [words[begin : begin + width], words[begin + width : begin + 2 * width]]
    begun = [each for each in both if 0 < each[numbers.WINDOW_AT] <= now]
    published = min(words[layout.ROW_PUBLISHED], now)
    if not begun:
        return Window(0.0, 0, 0.0, (0,) * numbers.BUCKETS)
    window = min(begun, key=lambda each: each[numbers.WINDOW_AT])
    answers = Counters.of(own).answers.buckets
    first = numbers.WINDOW_BUCKETS
    before = window[first : first + numbers.BUCKETS]
    return Window(
        seconds=max(0, published - window[numbers.WINDOW_AT]) / 1e9,
        requests=max(0, own[numbers.REQUESTS] - window[numbers.WINDOW_REQUESTS]),
        cpu_seconds=max(0, own[numbers.CPU_NANOSECONDS] - window[numbers.WINDOW_CPU]) / 1e9,
        buckets=tuple(max(0, a - b) for a, b in zip(answers, before, strict=True)),
    )


def _in_flight(line: str) -> InFlight | None:
    parts = line.split("\t")
    if len(parts) != 5:
        return None
    age, thread, ident, where, request = parts
    if not (age.isdigit() and ident.isdigit()) or len(age) > 18 or len(ident) > 20:
        return None
    return InFlight(
        int(age) / 1e6, printable(thread), int(ident), printable(where), printable(request)
    )


def _count(word: int) -> int:
    return word if 0 <= word < _MOST else 0


def _since(then: int, now: int) -> float | None:
    return (now - then) / 1e9 if 0 < then <= now else None


def _signal(word: int) -> int:
    return word if 0 < word < 65 else 0


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if 0 <= index < len(names) else ""
