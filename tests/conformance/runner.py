"""Plays cases of the corpus against a server and judges how each exchange went.

A case passes when one of its alternatives was seen in full: the exact number of answers, each
matching, and the end of the connection. To see that it is still open, a probe request is sent
when nothing else is to come. Run by test_corpus.py, many connections at a time.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.conformance.corpus import Alternative, Case
from tests.conformance.expectations import problem
from tests.conformance.wire import Wire

PROBE = b"GET /__probe HTTP/1.1\r\nHost: probe\r\n\r\n"

# Seconds: for an answer, for the server to close, for surplus bytes, for a whole case.
ANSWER, CLOSE, SETTLE, WHOLE = 6.0, 4.0, 0.15, 20.0


@dataclass(frozen=True)
class Outcome:
    """How a case went: the alternative seen, or what was wrong."""

    case: Case
    taken: Alternative | None
    trouble: str = ""

    def __str__(self) -> str:
        what = self.trouble or (f"took {self.taken.name!r}" if self.taken else "?")
        return f"{self.case.id} [{self.case.level}; {self.case.ref}] {what}"


def run_all(cases: Iterable[Case], address: tuple[str, int], jobs: int) -> list[Outcome]:
    """All outcomes; cases that want the server for themselves come last."""
    cases = list(cases)
    alone = [case for case in cases if "alone" in case.tags]
    with ThreadPoolExecutor(jobs) as pool:
        together = pool.map(
            lambda case: Play(case, address).outcome(), [c for c in cases if c not in alone]
        )
    return [*together, *(Play(case, address).outcome() for case in alone)]


class Play:
    """One case on one connection."""

    def __init__(self, case: Case, address: tuple[str, int]) -> None:
        self.case = case
        self.wire = Wire(case.methods)
        self.until = time.monotonic() + WHOLE
        self.broken = False
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def outcome(self) -> Outcome:
        """Plays and judges."""
        with self.socket:
            trouble = self._steps()
            if trouble:
                return self._failed(trouble)
            return self._judge()

    # ------------------------------------------------------------------ the client

    def _pump(self, seconds: float) -> None:
        """Waits for input, that long at most; one read."""
        if self.wire.end:
            return
        readable, _, _ = select.select([self.socket], [], [], max(0.0, seconds))
        if not readable:
            return
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            self.wire.finish("reset")
            return
        if data:
            self.wire.feed(data)
        else:
            self.wire.finish("eof")

    def _send(self, data: bytes) -> None:
        """Sends all of it, reading meanwhile; a server that has closed may break it."""
        view = memoryview(data)
        while view and not self.broken and time.monotonic() < self.until:
            self._pump(0)
            _, writable, _ = select.select([], [self.socket], [], 0.05)
            if not writable:
                continue
            try:
                view = view[self.socket.send(view[:65536]) :]
            except BlockingIOError:
                continue
            except OSError:
                self.broken = True

    def _wait(self, seconds: float, *, answers: int = 0, interim: bool = False) -> None:
        """Until the time is over, the connection has ended, or what is waited for is there."""
        wire, end = self.wire, time.monotonic() + seconds
        while not wire.end and (left := end - time.monotonic()) > 0:
            if answers and len(wire.answers) >= answers:
                return
            if interim and (wire.interims or wire.answers):
                return
            self._pump(left)

    def _steps(self) -> str:
        """Sends as the case says; what went wrong already, if anything."""
        wire = self.wire
        for step in self.case.steps:
            (kind, value), *_ = step.items()
            before = wire.total
            if kind == "send":
                self._send(value)
            elif kind == "each":
                for at in range(len(value)):
                    self._send(value[at : at + 1])
            elif kind == "await":
                self._wait(ANSWER, answers=value)
            elif kind == "await100":
                self._wait(ANSWER, interim=True)
                if not (wire.interims or wire.answers or wire.end):
                    return "no interim answer before the body was sent"
            elif kind == "halfclose":
                self._half_close()
            else:
                self._wait(value / 1000)
                if kind == "quiet" and (wire.total != before or wire.end):
                    return "answered or closed before the request was complete"
        return ""

    def _half_close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.broken = True

    # ------------------------------------------------------------------ the judge

    def _judge(self) -> Outcome:
        """Waits until one alternative has been seen in full, or none can be any more."""
        wire, probed_at = self.wire, -1
        total, active = wire.total, time.monotonic()
        while time.monotonic() < self.until:
            if wire.total != total:
                total, active = wire.total, time.monotonic()
            idle = time.monotonic() - active
            count = len(wire.answers) if probed_at < 0 else probed_at
            matching, awaiting, reason = self._alternatives(count)
            if wire.cut and (taken := _ending(matching, "cut")):
                return Outcome(self.case, taken)
            if wire.error:
                return self._failed("malformed answer: " + wire.error)
            if not matching and not awaiting:
                return self._failed(reason)
            if len(wire.answers) > count:
                return self._probe_answered(matching, count)
            if wire.end:
                taken = None if wire.buffer else _ending(matching, "close", "either", "any")
                return Outcome(self.case, taken) if taken else self._failed(reason or "ended")
            # A server that is going to close has as long for it as in any other case.
            settled = idle >= (CLOSE if _ending(matching, "close") else SETTLE)
            if settled and (taken := _ending(matching, "any")):
                return Outcome(self.case, taken)
            if probed_at < 0 and self._may_probe(matching, awaiting, idle):
                probed_at = len(wire.answers)
                self._send(PROBE)
                active = time.monotonic()
            elif idle >= (CLOSE if matching and probed_at < 0 else ANSWER):
                return self._failed(reason or "neither closed nor answered")
            self._pump(0.05)
        return self._failed("the time is over")

    def _alternatives(self, count: int) -> tuple[list[Alternative], bool, str]:
        """Those seen in full, whether another waits for a further answer, and one's trouble."""
        matching, awaiting, reason = [], False, ""
        answers, interims = self.wire.answers[:count], len(self.wire.interims)
        for alternative in self.case.alternatives:
            wants, (least, most) = alternative.responses, alternative.interims
            trouble = next(filter(None, map(problem, answers, wants)), "")
            if len(answers) > len(wants):
                trouble = f"{len(answers)} answers, want {len(wants)}"
            elif interims > most:
                trouble = f"{interims} interim answers"
            if trouble:
                reason = reason or f"{alternative.name}: {trouble}"
            elif len(answers) == len(wants) and interims >= least:
                matching.append(alternative)
            else:
                awaiting = True
        return matching, awaiting, reason

    def _may_probe(self, matching: list[Alternative], awaiting: bool, idle: float) -> bool:
        """A further request is sent only when nothing else can be waited for."""
        if self.wire.answers and self.wire.answers[-1].says_close:
            return False
        if not _ending(matching, "open", "either"):
            return False
        return idle >= (CLOSE / 2 if awaiting or _ending(matching, "close") else 0)

    def _probe_answered(self, matching: list[Alternative], count: int) -> Outcome:
        answer = self.wire.answers[count]
        if answer.echo is not None and answer.echo["path"] == "/__probe":
            taken = _ending(matching, "open", "either")
            if taken:
                return Outcome(self.case, taken)
            return self._failed("the connection is still open")
        return self._failed("a surplus answer")

    def _failed(self, trouble: str) -> Outcome:
        wire = self.wire
        seen = [f"{a.status}{' app' if a.from_app else ''} {a.body[:40]!r}" for a in wire.answers]
        rest = bytes(wire.buffer[:40])
        detail = f"{trouble}; interim {wire.interims}, saw {seen}, {rest!r}, {wire.end or 'open'}"
        return Outcome(self.case, None, detail)


def _ending(matching: list[Alternative], *ends: str) -> Alternative | None:
    """The first of the alternatives that ends in one of these ways."""
    return next((alternative for alternative in matching if alternative.end in ends), None)
