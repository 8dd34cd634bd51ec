"""Holding a crowd of connections, against a server of a few lines in this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from benchmarks.probes import PROBES
from benchmarks.probes.crowd import TOGETHER, Crowd, asking, joining
from benchmarks.process import Running, ServerFailed
from benchmarks.results import MEASURES
from benchmarks.scenario import Scenario
from benchmarks.scenarios import SCENARIOS
from tests.benchmarks.conftest import Handle

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"


def answer_all(client: socket.socket) -> None:
    try:
        while client.recv(4096):
            client.sendall(ANSWER)
    except OSError:
        pass


def test_everybody_asks_again_and_every_answer_is_counted(
    serve: Callable[[Handle], Running],
) -> None:
    counted = []

    def handle(client: socket.socket) -> None:
        try:
            while client.recv(4096):
                counted.append(client)
                client.sendall(ANSWER[:30])  # in two pieces: only the end makes an answer
                client.sendall(ANSWER[30:])
        except OSError:
            pass

    with Crowd(serve(handle)) as crowd:
        crowd.open(TOGETHER + 3, asking("/", b"world!"))
        assert len(crowd.clients) == len(counted) == TOGETHER + 3
        counted.clear()
        assert crowd.converse(0.05, b"world!") == len(counted) >= TOGETHER + 3


def test_news_has_reached_all_when_the_last_one_has_it_whole(
    serve: Callable[[Handle], Running],
) -> None:
    everybody: list[socket.socket] = []

    def handle(client: socket.socket) -> None:
        client.recv(4096)
        everybody.append(client)
        client.sendall(ANSWER)

    with Crowd(serve(handle)) as crowd:
        crowd.open(3, asking("/", b"world!"))
        first, second, last = everybody
        for client in (first, second):
            client.sendall(b"data: n7\n\n")
        last.sendall(b"data: ")
        sent: list[float] = []

        def send_rest() -> None:
            sent.append(time.perf_counter())
            last.sendall(b"n7\n\n")

        later = threading.Timer(0.1, send_rest)
        later.start()
        heard = crowd.until_all_heard(b"n7\n")
        later.join()
        assert heard > sent[0]


def test_a_refusal_says_how_many_were_taken(serve: Callable[[Handle], Running]) -> None:
    taken = []

    def handle(client: socket.socket) -> None:
        client.recv(4096)
        taken.append(client)
        client.sendall(ANSWER if len(taken) == 1 else b"HTTP/1.1 503 Busy\r\n\r\nworld!")

    with Crowd(serve(handle)) as crowd:
        crowd.open(1, asking("/", b"world!"))
        with pytest.raises(ServerFailed, match=r"it answered b'HTTP/1\.1 503"):
            crowd.open(1, asking("/", b"world!"))


def test_a_closed_connection_is_no_answer(serve: Callable[[Handle], Running]) -> None:
    refusing = serve(lambda client: client.close())
    said = r"it closed a connection|it took 0 of 1"  # a reset, when it was quick
    with Crowd(refusing) as crowd, pytest.raises(ServerFailed, match=said):
        crowd.open(1, joining())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.key)
def test_probes_name_figures_that_exist_and_a_time_to_plan_with(scenario: Scenario) -> None:
    if scenario.kind == "probe":
        assert scenario.probe in PROBES
        assert scenario.headline in scenario.columns
        assert scenario.round_seconds > 0
    assert set(scenario.columns) | set(scenario.judged) <= set(MEASURES)
