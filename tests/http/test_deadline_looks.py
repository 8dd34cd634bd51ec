"""Deadlines at the exact second, with answers that are still being made, and with late looks."""

from __future__ import annotations

import pytest

from bare_serve.errors import RequestError
from bare_serve.http import Deadlines, RequestHead, Timeouts
from bare_serve.http.deadlines import LONGEST_GAP, MIN_ANSWER_RATE, MIN_BODY_RATE
from bare_serve.http1 import ServerConnection
from tests.http1.harness import connect

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
TIMEOUTS = Timeouts(headers=8, body=16, write=32, keep_alive=64)


class Looks:
    """A watch that is asked at the times that a test names: exact ones, in halves of seconds."""

    def __init__(self, timeouts: Timeouts = TIMEOUTS) -> None:
        self.connection: ServerConnection = connect()
        self.deadlines = Deadlines(timeouts, 0.0)
        self.unsent = 0
        self.looked = 0.0

    def at(self, *times: float) -> list[str]:
        """The verdict of a look at each time."""
        return [self._look(time) for time in times]

    def until(self, time: float) -> None:
        """Looks come often enough, and find nothing, up to then."""
        while self.looked + LONGEST_GAP < time:
            assert self._look(self.looked + LONGEST_GAP) == "None", self.looked
        assert self._look(time) == "None", time

    def _look(self, time: float) -> str:
        self.looked = time
        verdict = self.deadlines.overdue(self.connection, time, unsent=self.unsent)
        return str(verdict.status) if isinstance(verdict, RequestError) else str(verdict)

    def feed(self, data: bytes) -> None:
        self.connection.receive_data(data)
        while isinstance(self.connection.next_event(), bytes | RequestHead):
            pass

    def answer(self, body: bytes, *, more: bool) -> None:
        if not self.connection.status:
            self.connection.start_response(200, [])
        self.connection.send_body(body, more)
        if not more:
            self.connection.next_event()


def test_a_client_that_takes_nothing_of_a_stream_is_dropped() -> None:
    """The answer has not ended, and more of it has left than the client ever sent."""
    looks = Looks()
    looks.feed(GET)
    looks.answer(b"x" * 100_000, more=True)
    looks.unsent = 50_000
    assert looks.at(1) == ["None"]
    looks.until(32.5)
    assert looks.at(33) == ["abort"]


def test_a_stream_that_grows_is_no_progress_of_the_client() -> None:
    looks = Looks()
    looks.feed(GET)
    for second in range(1, 33):
        looks.answer(b"x" * 1000, more=True)
        # Nothing of it is taken, not even its head.
        looks.unsent = looks.connection.bytes_sent
        assert looks.at(second) == ["None"], second
    looks.answer(b"x" * 1000, more=True)
    looks.unsent = looks.connection.bytes_sent
    assert looks.at(33) == ["abort"]


def taking(looks: Looks, begin: float, count: int) -> list[str]:
    """The verdicts of two looks at the end of a window in which the client takes so much."""
    window = int(TIMEOUTS.write)
    before = looks.unsent
    for second in range(1, window):
        looks.unsent = before - count * second // window
        looks.until(begin + second)
    looks.unsent = before - count
    return looks.at(begin + window - 0.5, begin + window)


def test_the_rate_of_an_answer_to_the_byte() -> None:
    assert MIN_ANSWER_RATE == 500, "as docs/security.md says"
    enough = 32 * MIN_ANSWER_RATE
    for count, verdict in ((enough, "None"), (enough - 1, "abort")):
        looks = Looks()
        looks.feed(GET)
        looks.answer(b"x" * 1_000_000, more=True)
        looks.unsent = 900_000
        assert looks.at(1) == ["None"]
        assert taking(looks, 1, count) == ["None", verdict]


def test_each_window_of_an_answer_is_measured_anew() -> None:
    looks = Looks()
    looks.feed(GET)
    looks.answer(b"x" * 1_000_000, more=True)
    looks.unsent = 900_000
    assert looks.at(1) == ["None"]
    assert taking(looks, 1, 500_000) == ["None", "None"]
    assert taking(looks, 33, 32 * MIN_ANSWER_RATE) == ["None", "None"]
    assert taking(looks, 65, 32 * MIN_ANSWER_RATE - 1) == ["None", "abort"]


def test_the_time_to_write_begins_when_the_client_stops() -> None:
    looks = Looks()
    looks.feed(GET)
    looks.answer(b"x" * 1000, more=True)
    assert looks.at(1, 500) == ["None", "None"], "nothing waits for the client"
    looks.unsent = 10
    assert looks.at(501) == ["None"]
    looks.until(532.5)
    assert looks.at(533) == ["abort"]


@pytest.mark.parametrize(("gap", "verdict"), [(5.0, "abort"), (5.5, "None")])
def test_how_long_nobody_may_look_before_no_answer_is_held_against_its_client(
    gap: float, verdict: str
) -> None:
    looks = Looks()
    looks.feed(GET)
    looks.answer(b"x" * 1000, more=True)
    looks.unsent = 10
    assert looks.at(1) == ["None"]
    looks.until(28)
    assert looks.at(28 + gap) == [verdict]
    assert looks.at(28 + gap + 1) == [verdict], "and a window begins anew"


@pytest.mark.parametrize("sent", [b"", b"G"])
def test_a_head_at_the_very_second(sent: bytes) -> None:
    looks = Looks()
    looks.feed(sent)
    verdict = "408" if sent else "close"
    # A head that begins is noticed by a look; a connection was there before it.
    assert looks.at(0, 7.5, 8) == ["None", "None", verdict]


def test_a_connection_was_there_before_the_first_look() -> None:
    assert Looks().at(7.5) == ["None"]
    assert Looks().at(8) == ["close"]


def test_an_idle_connection_at_the_very_second() -> None:
    looks = Looks()
    looks.feed(GET)
    looks.answer(b"x", more=False)
    assert looks.at(0, 63.5, 64) == ["None", "None", "close"]


def test_the_rate_of_a_body_to_the_byte() -> None:
    assert MIN_BODY_RATE == 500, "as docs/security.md says"
    for count, verdict in ((16 * MIN_BODY_RATE, "None"), (16 * MIN_BODY_RATE - 1, "408")):
        looks = Looks()
        looks.feed(UPLOAD)
        assert looks.at(0, 4, 8, 12) == ["None"] * 4
        looks.feed(b"x" * count)
        assert looks.at(15.5, 16) == ["None", verdict]


def test_each_window_of_a_body_is_measured_anew() -> None:
    looks = Looks()
    looks.feed(UPLOAD)
    assert looks.at(0) == ["None"]
    looks.feed(b"x" * 100_000)
    assert looks.at(4, 8, 12, 16) == ["None"] * 4
    assert looks.at(20, 24, 28, 32) == ["None", "None", "None", "408"]


@pytest.mark.parametrize(("gap", "verdict"), [(5.0, "408"), (5.5, "None")])
def test_how_long_nobody_may_look_before_that_is_held_against_nobody(
    gap: float, verdict: str
) -> None:
    looks = Looks()
    looks.feed(UPLOAD)
    assert looks.at(0, 4, 8, 11) == ["None"] * 4
    assert looks.at(11 + gap) == [verdict]
