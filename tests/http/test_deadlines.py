"""Deadlines: when a client has taken too long, with a clock that only the test moves.

The loop looks at least once a second; `Clock.until` does so and says when the verdict came. A
deadline is late by a look or two and never early. Requests that come and go leave no trace.
"""

from __future__ import annotations

import math

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Deadlines, Limits, RequestHead, Timeouts
from bare_serve.http.deadlines import MIN_ANSWER_RATE, MIN_BODY_RATE
from bare_serve.http1 import MUST_CLOSE, NEED_DATA, ServerConnection
from tests.http1.harness import connect, parse_answers

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
WAITING = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"

TIMEOUTS = Timeouts(headers=10, body=30, write=40, keep_alive=75)


class Clock:
    """A connection, its watch, and the only clock there is."""

    def __init__(self, timeouts: Timeouts = TIMEOUTS, limits: Limits | None = None) -> None:
        self.now = 1000.0
        self.connection: ServerConnection = connect(limits=limits)
        self.deadlines = Deadlines(timeouts, self.now)
        self.unsent = 0
        self.paused = False

    def look(self) -> RequestError | str | None:
        """One look of the loop, a second after the last."""
        self.now += 1.0
        return self.deadlines.overdue(
            self.connection, self.now, paused=self.paused, unsent=self.unsent
        )

    def until(self, patience: int = 200, each: bytes = b"") -> tuple[int, str]:
        """Looks each second, with `each` from the client before; when a verdict came, and which."""
        for second in range(1, patience + 1):
            if each:
                self.feed(each)
            verdict = self.look()
            if verdict is not None:
                status = getattr(verdict, "status", None)
                return second, str(status) if status else str(verdict)
        return patience, "never"

    def feed(self, data: bytes) -> None:
        """Bytes from the client; bodies are taken at once."""
        self.connection.receive_data(data)
        while isinstance(self.connection.next_event(), bytes | RequestHead):
            pass

    def answer(self, body: bytes = b"x", more: bool = False) -> None:
        """The application's answer."""
        self.connection.start_response(200, [])
        self.connection.send_body(body, more)
        if not more:
            self.connection.next_event()


def about(seconds: int, verdict: str) -> list[tuple[int, str]]:
    """The verdict, late by two looks at most."""
    return [(seconds + late, verdict) for late in range(3)]


# ------------------------------------------------------------------------------------- headers


def test_who_says_nothing_is_closed_silently() -> None:
    assert Clock().until() in about(10, "close")


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\n", GET[:-1], b"\r"])
def test_who_does_not_finish_a_head_gets_408(sent: bytes) -> None:
    clock = Clock()
    clock.feed(sent)
    second, verdict = clock.until()
    assert (second, verdict) in about(10, "408")


def test_trickling_a_head_wins_no_time() -> None:
    clock = Clock()
    clock.feed(b"GET / HTTP/1.1\r\nX: ")
    assert clock.until(each=b"y") in about(10, "408")
    clock = Clock()
    clock.feed(b"GET / HTTP/1.1\r\n")
    assert clock.until(each=b"X: y\r\n") in about(10, "408")


def test_trickling_empty_lines_wins_little_time() -> None:
    """A CR begins a head, its LF takes that back; both together are no request."""
    clock = Clock()
    for _ in range(8):
        for byte in (b"\r", b"\n"):
            clock.feed(byte)
            assert clock.look() is None
    clock.feed(b"\r")
    with pytest.raises(RequestError) as caught:
        clock.feed(b"\n")
    assert caught.value.status == 400


def test_the_408_is_a_complete_answer_also_behind_a_good_request() -> None:
    clock = Clock()
    clock.feed(GET)
    clock.answer()
    clock.feed(b"GET / HT")
    assert clock.until() in about(10, "408")
    verdict = clock.deadlines.overdue(clock.connection, clock.now)
    assert isinstance(verdict, RequestError)
    (answer,) = parse_answers(clock.connection.error_response(verdict))
    assert (answer.status, answer.header("connection")) == (408, b"close")
    assert clock.connection.next_event() is MUST_CLOSE


def test_each_head_has_its_own_time() -> None:
    clock = Clock()
    for _ in range(5):
        clock.feed(GET[:9])
        for _ in range(8):
            assert clock.look() is None
        clock.feed(GET[9:])
        clock.answer()
        assert clock.look() is None


# ---------------------------------------------------------------------------------- keep-alive


def test_an_idle_connection_is_closed_silently() -> None:
    clock = Clock()
    clock.feed(GET)
    clock.answer()
    assert clock.until() in about(75, "close")


def test_a_request_starts_the_idle_time_anew() -> None:
    clock = Clock()
    for _ in range(3):
        clock.feed(GET)
        clock.answer()
        for _ in range(70):
            assert clock.look() is None
    clock.feed(GET)
    clock.answer()
    assert clock.until() in about(75, "close")


def test_empty_lines_do_not_prolong_the_idle_time() -> None:
    clock = Clock()
    clock.feed(GET)
    clock.answer()
    for _ in range(8):
        for _ in range(9):
            assert clock.look() is None
        clock.feed(b"\r\n")
    assert clock.until() in about(3, "close")


def test_an_application_may_take_its_time() -> None:
    clock = Clock()
    clock.feed(GET)
    assert clock.until(1000) == (1000, "never")
    clock.answer(more=True)
    assert clock.until(1000) == (1000, "never")


# ---------------------------------------------------------------------------------------- body


@pytest.mark.parametrize("head", [UPLOAD, CHUNKED])
def test_a_body_that_does_not_come_is_408(head: bytes) -> None:
    clock = Clock()
    clock.feed(head)
    assert clock.until() in about(30, "408")


@pytest.mark.parametrize("rate", [1, MIN_BODY_RATE // 2, MIN_BODY_RATE - 20])
def test_a_body_that_trickles_is_408(rate: int) -> None:
    """A byte now and then is not progress."""
    clock = Clock()
    clock.feed(UPLOAD)
    assert clock.until(each=b"x" * rate) in about(30, "408")


@pytest.mark.parametrize(
    ("begun", "each"), [(b"", b"1\r\nx\r\n"), (b"5;", b"a"), (b"0\r\nX:", b"y")]
)
def test_a_chunked_body_that_trickles_is_408(begun: bytes, each: bytes) -> None:
    """Neither do chunk lines, extensions and trailers count as progress."""
    clock = Clock()
    clock.feed(CHUNKED + begun)
    assert clock.until(each=each) in about(30, "408")


def test_a_body_that_comes_fast_enough_may_take_long() -> None:
    clock = Clock()
    clock.feed(UPLOAD)
    assert clock.until(1000, each=b"x" * (MIN_BODY_RATE + 20)) == (1000, "never")


def test_a_body_that_stops_after_a_good_start_is_408() -> None:
    clock = Clock()
    clock.feed(UPLOAD)
    assert clock.until(60, each=b"x" * 10000) == (60, "never")
    second, verdict = clock.until()
    assert verdict == "408"
    assert second <= 62


def test_a_client_is_not_to_blame_while_it_is_not_read() -> None:
    clock = Clock()
    clock.feed(UPLOAD)
    clock.paused = True
    assert clock.until(1000) == (1000, "never")
    clock.paused = False
    assert clock.until() in about(30, "408")


def test_a_client_is_not_to_blame_while_its_bytes_lie_here() -> None:
    clock = Clock()
    clock.feed(UPLOAD)
    clock.connection.receive_data(b"x")  # and the application does not ask for it
    assert clock.until(1000) == (1000, "never")


def test_a_client_is_not_to_blame_while_nobody_looks() -> None:
    """The loop, or a thread inside the application, was busy elsewhere."""
    clock = Clock()
    clock.feed(UPLOAD)
    assert clock.look() is None
    clock.now += 1000
    assert clock.look() is None
    assert clock.until() in about(30, "408")


def test_a_client_is_not_to_blame_while_it_waits_for_100_continue() -> None:
    clock = Clock()
    clock.feed(WAITING)
    assert clock.until(1000) == (1000, "never")
    assert clock.connection.continue_expected()
    assert clock.until() in about(30, "408")


def test_the_unread_rest_of_a_body_is_waited_for_as_long_and_not_answered_twice() -> None:
    clock = Clock(limits=Limits(drain=2_000_000))
    clock.feed(UPLOAD)
    clock.answer()
    assert clock.connection.next_event() is NEED_DATA
    assert clock.until(each=b"x") in about(30, "close")


# --------------------------------------------------------------------------------------- write


def test_a_client_that_takes_nothing_is_dropped() -> None:
    clock = Clock()
    clock.feed(GET)
    clock.answer(b"x" * 100_000)
    clock.unsent = 90_000
    assert clock.until() in about(40, "abort")


def taking(clock: Clock, rate: int, seconds: int) -> tuple[int, str]:
    """A client that takes so many bytes each second; when a verdict came, and which."""
    clock.feed(GET)
    clock.answer(b"x" * 10_000_000)
    clock.unsent = 10_000_000
    for second in range(1, seconds + 1):
        clock.unsent -= rate
        if (verdict := clock.look()) is not None:
            return second, str(verdict)
    return seconds, "never"


def test_a_client_that_takes_its_answer_slowly_is_not() -> None:
    assert taking(Clock(), MIN_ANSWER_RATE + 20, 1000) == (1000, "never")


@pytest.mark.parametrize("rate", [1, MIN_ANSWER_RATE // 2, MIN_ANSWER_RATE - 20])
def test_a_client_that_takes_a_little_now_and_then_is(rate: int) -> None:
    """It would hold its place for as long as it likes."""
    assert taking(Clock(), rate, 200) in about(40, "abort")


def test_a_client_that_stops_after_a_good_start_is_dropped() -> None:
    clock = Clock()
    assert taking(clock, 10_000, 60) == (60, "never")
    second, verdict = clock.until()
    assert verdict == "abort"
    assert second <= 62


def test_a_client_that_could_not_be_written_to_is_not_to_blame() -> None:
    """The loop, or the thread inside the application, was busy elsewhere."""
    clock = Clock()
    clock.feed(GET)
    clock.answer(b"x" * 100_000)
    clock.unsent = 90_000
    assert clock.look() is None
    clock.now += 1000
    assert clock.look() is None
    assert clock.until() in about(40, "abort")


def test_an_application_that_adds_more_is_no_progress_of_the_client() -> None:
    clock = Clock()
    clock.feed(GET)
    clock.answer(b"x" * 1000, more=True)
    for second in range(100):
        clock.connection.send_body(b"x" * 1000, True)
        clock.unsent = 1000 * (second + 2)
        if clock.look() == "abort":
            break
    assert 40 <= second <= 42


def test_writing_comes_before_every_other_deadline() -> None:
    """Half a head behind an answer that is not taken: it is the answer that is late."""
    clock = Clock()
    clock.feed(GET + b"GET")
    clock.answer(b"x" * 1000)
    clock.unsent = 500
    assert clock.until() in about(40, "abort")


# ------------------------------------------------------------------------------------- options


def test_a_deadline_can_be_off() -> None:
    off = Timeouts(headers=0, body=0, write=0, keep_alive=math.inf)
    for sent, answered, unsent in (
        (b"", False, 0),
        (b"GET", False, 0),
        (UPLOAD, False, 0),
        (GET, True, 0),
        (GET, True, 100),
    ):
        clock = Clock(off)
        clock.feed(sent)
        if answered:
            clock.answer()
        clock.unsent = unsent
        assert clock.until(1000) == (1000, "never")


def test_a_closed_connection_has_no_deadline_here() -> None:
    """Whoever closes lingers with a limit of its own."""
    clock = Clock()
    clock.connection.error_response(RequestError(503, "Not now."))
    assert clock.until(1000) == (1000, "never")
