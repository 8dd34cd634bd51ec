"""The attacks, who carries them out and who waits meanwhile. The server is of a few lines."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import aims, plan, proc
from benchmarks.hostile import attacker as attackers
from benchmarks.hostile import bystander
from benchmarks.hostile.attacker import AT_ONCE, Answers, Attacker, Meter
from benchmarks.hostile.attacks import ATTACKS, SECONDS, Attack
from benchmarks.probes import hostile
from benchmarks.process import Running, ServerFailed
from benchmarks.report import markdown
from benchmarks.results import Record, Report, Row
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import BY_KEY
from tests.benchmarks.conftest import Handle
from tests.support import eventually

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HOSTILE = [scenario for scenario in SCENARIOS if scenario.probe == "hostile"]
Serve = Callable[[Handle], Running]


def requests(client: socket.socket) -> Iterator[bytes]:
    """The heads that come, one by one."""
    seen = b""
    while True:
        while b"\r\n\r\n" not in seen:
            try:
                piece = client.recv(65536)
            except OSError:
                return
            if not piece:
                return
            seen += piece
        head, _, seen = seen.partition(b"\r\n\r\n")
        yield head


def answering(client: socket.socket) -> None:
    for _ in requests(client):
        client.sendall(HELLO)


def swallowing(client: socket.socket) -> None:
    """Takes all, says nothing."""
    try:
        while client.recv(1 << 20):
            pass
    except OSError:
        pass


def frames(data: bytes) -> Iterator[tuple[int, int]]:
    """The first byte and the length of small masked frames (RFC 6455, 5.2)."""
    while data:
        assert data[1] & 0x80, "masked"
        size = data[1] & 0x7F
        assert size < 126
        yield data[0], size
        data = data[6 + size :]


def test_every_attack_is_a_scenario_with_aims() -> None:
    assert [scenario.attack for scenario in HOSTILE] == [*ATTACKS]
    aimed = {(aim.scenario, aim.ours) for aim in aims.AIMS}
    for scenario in HOSTILE:
        for key in scenario.servers:
            assert not BY_KEY[key].ours or (scenario.key, key) in aimed


def test_what_is_sent_is_what_is_said() -> None:
    burst = ATTACKS["burst"].block
    assert burst.count(b"GET /sleep HTTP/1.1\r\n") == 2600
    assert set(frames(ATTACKS["pings"].block)) == {(0x89, 0)}
    for size, name in enumerate(("empty fragments", "one-byte fragments")):
        first, *middle, last = frames(ATTACKS[name].block)
        assert (first, {*middle}, last) == ((0x02, size), {(0x00, size)}, (0x80, size))
    assert re.fullmatch(rb"(1\r\nx\r\n)+", ATTACKS["one-byte chunks"].block)
    assert re.fullmatch(rb"(2\r\nxy\r\n)+", ATTACKS["two-byte chunks"].block)
    assert 64_000 < len(ATTACKS["forwarded"].block) < 65_536


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (HELLO, True),
        (HELLO[:-1], False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", True),
    ],
)
def test_when_an_answer_is_whole(answer: bytes, whole: bool) -> None:
    assert bystander.complete(answer) is whole


def a_bystander(running: Running) -> bystander.Bystander:
    return bystander.Bystander(bystander.connector(running.launch.port, tls=False))


def test_the_longest_wait_is_found_among_the_short_ones(serve: Serve) -> None:
    asked: list[bytes] = []

    def handle(client: socket.socket) -> None:
        for head in requests(client):
            asked.append(head)
            client.sendall(HELLO[:20])
            if len(asked) == 9:
                time.sleep(0.2)
            client.sendall(HELLO[20:])

    client = a_bystander(serve(handle))
    client.watch(0.4)
    client.close()
    found = bystander.summary(client.waits, [0.001, 0.003], client.refused)
    assert found["worst_ms"] >= 200
    assert found["wait50_ms"] < found["worst_ms"]
    assert found["answers"] == len(asked)
    assert found["refused"] == 0
    assert found["calm_ms"] == 3


def test_one_request_of_four_comes_on_a_fresh_connection(serve: Serve) -> None:
    counts: list[int] = []

    def handle(client: socket.socket) -> None:
        place = len(counts)
        counts.append(0)
        for _ in requests(client):
            counts[place] += 1
            client.sendall(HELLO)

    client = a_bystander(serve(handle))
    while len(client.waits) < 8:
        client.watch(0.01)
    client.close()
    assert counts[0] > 3
    assert counts[1:3] == [1, 1]


def test_who_closes_the_connection_is_asked_again_and_that_is_one_wait(serve: Serve) -> None:
    seen: list[bytes] = []

    def handle(client: socket.socket) -> None:
        for head in requests(client):
            seen.append(head)
            if len(seen) == 2:
                client.shutdown(socket.SHUT_RDWR)
                return
            client.sendall(HELLO)

    client = a_bystander(serve(handle))
    while len(seen) < 4:
        client.watch(0.01)
    client.close()
    assert len(client.waits) == len(seen) - 1


def test_no_answer_counts_with_what_was_waited(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bystander, "PATIENCE", 0.1)
    client = a_bystander(serve(swallowing))
    client.watch(0.1)
    client.close()
    [wait] = client.waits
    assert 0.2 <= wait < 5


def test_other_answers_than_200_are_counted(serve: Serve) -> None:
    def handle(client: socket.socket) -> None:
        for _ in requests(client):
            client.sendall(HELLO.replace(b"200 OK", b"503 Busy"))

    client = a_bystander(serve(handle))
    client.watch(0.05)
    client.close()
    assert client.refused == len(client.waits) > 0


def test_a_rate_is_kept_and_little_of_it_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(attackers, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    meter = Meter(1000)
    assert meter.allowed() == 0
    clock[0] = 0.5
    assert meter.allowed() == 500
    meter.took(400)
    assert meter.allowed() == 100
    clock[0] = 1e6
    assert meter.allowed() == AT_ONCE
    assert Meter(0).allowed() > AT_ONCE


def test_answers_are_counted_across_the_pieces_they_come_in() -> None:
    awaited = Answers(2)
    text = HELLO * 2
    for place, byte in enumerate(text):
        assert not awaited.all_there or place > len(HELLO)
        awaited.heard(bytes((byte,)))
    assert awaited.all_there
    awaited.begin()
    assert not awaited.all_there
    assert Answers(0).all_there


def carry_out(attack: Attack, running: Running, seconds: float) -> dict[str, float]:
    return Attacker(attack, running.launch.port).run(seconds)


def test_the_next_block_goes_out_when_the_last_one_is_answered(serve: Serve) -> None:
    heads: list[int] = []
    most: list[int] = []

    def handle(client: socket.socket) -> None:
        for _ in requests(client):
            heads.append(1)
            if len(heads) % 3 == 0:
                most.append(len(heads))
                client.sendall(HELLO * 3)

    told = carry_out(Attack(b"GET / HTTP/1.1\r\n\r\n", 3, answers=3), serve(handle), 0.3)
    assert len(most) > 1
    assert told["ended"] == 0
    assert told["sent_mbs"] > 0


def test_who_is_cut_off_comes_back_and_says_so(serve: Serve) -> None:
    def handle(client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it may have left
            client.recv(100)
            client.shutdown(socket.SHUT_RDWR)

    told = carry_out(Attack(b"x" * 100, greeting=b"POST"), serve(handle), 0.3)
    assert told["ended"] > 1


def test_the_greeting_goes_first_and_once(serve: Serve) -> None:
    seen = bytearray()

    def handle(client: socket.socket) -> None:
        try:
            while piece := client.recv(65536):
                seen.extend(piece)
        except OSError:
            pass

    carry_out(Attack(b"abc", 10, greeting=b"POST ", rate=50_000), serve(handle), 0.2)
    assert re.fullmatch(rb"POST (abc)+a?b?", bytes(seen))


def test_a_slow_reader_takes_no_more_than_its_rate(serve: Serve) -> None:
    taken: list[int] = []

    def handle(client: socket.socket) -> None:
        client.settimeout(10)
        try:
            client.recv(100)
            while True:
                taken.append(client.send(b"x" * 1000))
        except OSError:
            pass

    attack = Attack(b"GET", kind="slow reader", rate=10, connections=3)
    told = carry_out(attack, serve(handle), 0.3)
    assert told["ended"] == 0
    assert 0 < sum(taken) < 30 << 20, "the kernel's buffers, and no more"


def test_both_programs_work_and_the_figures_are_those_of_the_table(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario: Any = next(each for each in HOSTILE if each.attack == "forwarded")
    # Its memory is looked at: not that of the tests, whose other processes come and go.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        running = SimpleNamespace(**{**vars(serve(answering)), "pid": server.pid})
        subject: Any = SimpleNamespace(running=running, scenario=scenario)
        for seconds in (0.3, 1.0, 3.0, 9.0):  # the attacker yields to whatever else there is
            monkeypatch.setattr(hostile, "SECONDS", seconds)
            found = hostile.besiege(subject)
            if found["sent_mbs"]:
                break
    row = Row("bare-serve:wsgi", "bare-serve", "wsgi", "bare-serve", rounds=[found])
    for column in scenario.columns:
        assert row.spread(column) is not None, column
    assert found["worst_ms"] > 0
    assert found["answers"] > 1
    assert found["sent_mbs"] > 0


def test_a_program_that_fails_or_says_nothing_is_told() -> None:
    nonsense = ["no such attack", "1", "1"]
    with (
        hostile.Program("attacker", nonsense) as program,
        pytest.raises(ServerFailed, match="the attacker failed"),
    ):
        program.line(30)
    with hostile.Program("attacker", ["pings", "1", "1"]) as program:
        assert program.line(30) == b"ready"
        with pytest.raises(ServerFailed, match="found no end"):
            program.line(0.05)


GROWING = """
import sys
print(flush=True)
sys.stdin.readline()
taken = bytearray(b"x" * (24 << 20))
del taken
print(flush=True)
sys.stdin.readline()
"""


def test_growth_is_of_the_most_memory_not_of_what_is_left() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GROWING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        growth = proc.Growth(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert 23 << 20 < growth.bytes() < 80 << 20
        process.kill()
    with pytest.raises((OSError, ValueError)):
        growth.bytes()


def test_a_figure_of_a_process_from_its_status() -> None:
    text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
    assert proc.parse_status(text, "VmRSS") == 1 << 20
    with pytest.raises(ValueError, match="no VmSwap"):
        proc.parse_status(text, "VmSwap")


def test_the_section_is_chosen_by_its_name_with_the_rounds_asked_for() -> None:
    chosen = plan.make(["hostile"], [], 3, 1)
    assert [task.scenario for task in chosen.tasks] == HOSTILE
    assert {task.rounds(3) for task in chosen.tasks} == {3}
    everything = plan.make([], [], 3, 1)
    assert {task.rounds(3) for task in everything.tasks if task.scenario in HOSTILE} == {1}
    assert all(scenario.round_seconds > SECONDS for scenario in HOSTILE)


def test_they_stand_under_a_heading_of_their_own() -> None:
    row = Row("bare-serve:wsgi", "bare-serve", "wsgi", "bare-serve")
    row.rounds = [{"worst_ms": 12.3, "grown_mib": 0.0, "ended": 4}]
    columns = ["worst", "grown", "ended"]
    records = [
        Record("hostile-burst", "A burst", ["worst"], columns=columns, headline="worst",
               section="hostile", rows=[row]),
        Record("hello", "Hello", ["rate"]),
    ]  # fmt: skip
    machine = {"cpu": "X", "cores": 2, "memory_gib": 4, "kernel": "Linux 6", "python": "3.11.7"}
    report = Report("2026-01-02", machine, {}, {"rounds": 1, "seconds": 1}, records=records)
    text = markdown(report)
    before, after = text.split("## Hostile clients")
    assert "### Hello" in before
    assert "### A burst" in after
    assert "| bare-serve | 12.3 | 0.000 | 4.00 |" in after
    assert "## Hostile clients" not in markdown(Report(**{**vars_of(report), "records": []}))


def vars_of(report: Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__slots__}


def test_the_programs_print_one_object(serve: Serve) -> None:
    running = serve(answering)
    with hostile.Program("bystander", [str(running.launch.port), "0.1", "plain"]) as program:
        program.line(30)
        program.begin()
        found = json.loads(program.line(30))
    assert found["worst_ms"] >= found["wait50_ms"] > 0
    eventually(lambda: program.process.returncode is not None)
