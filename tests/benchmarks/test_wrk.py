"""Driving wrk and reading what it prints."""

from __future__ import annotations

import pytest

from benchmarks.wrk import Load, WrkError, parse
from benchmarks.wsload import masked_frame, percentiles, server_frame_size

OUTPUT = """Running 2s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
Requests/sec:  50000.00
BENCH {"requests":100000,"bytes":13000000,"microseconds":2000000,"errors":{"connect":0,"read":3,\
"write":0,"status":2,"timeout":0},"latency":{"50":640,"99":1800,"99.9":0},"slowest":9500}
"""


def test_findings() -> None:
    found = parse(OUTPUT, load_cpu=0.5)
    assert found.rate == 50_000
    assert found.seconds == 2
    assert found.slowest == 9.5
    assert found.load_cpu == 0.5


def test_a_generator_of_our_own_tells_its_share_of_the_core() -> None:
    assert parse(OUTPUT.replace('"requests"', '"load_cpu":0.97,"requests"'), 0.5).load_cpu == 0.97


def test_only_errors_that_happened_are_kept() -> None:
    found = parse(OUTPUT)
    assert found.errors == {"read": 3, "status": 2}
    assert found.failed == 5


def test_a_percentile_of_zero_is_no_figure() -> None:
    assert parse(OUTPUT).latency == {"50": 0.64, "99": 1.8}


def test_no_result_is_an_error_that_shows_what_was_said() -> None:
    with pytest.raises(WrkError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_command_of_a_plain_load() -> None:
    line = Load(connections=32, path="/sleep").command("http://127.0.0.1:8000", 2)
    assert line[0] == "wrk"
    assert {"-t1", "-d2s"} <= set(line)
    assert line[line.index("-c") + 1] == "32"
    assert line[-1] == "http://127.0.0.1:8000/sleep"


def test_arguments_of_the_script_come_after_two_dashes() -> None:
    line = Load(script=("pipeline=16",)).command("http://h", 1)
    assert line[-2:] == ["--", "pipeline=16"]


@pytest.mark.parametrize(("size", "extra"), [(64, 2), (125, 2), (126, 4), (16384, 4), (65536, 10)])
def test_websocket_frames(size: int, extra: int) -> None:
    assert server_frame_size(size) == size + extra
    assert len(masked_frame(b"m" * size)) == size + extra + 4


def test_a_masked_frame_unmasks_to_its_message() -> None:
    frame = masked_frame(b"hello")
    mask, masked = frame[2:6], frame[6:]
    assert bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked)) == b"hello"
    assert frame[:2] == b"\x82\x85"


def test_percentiles_of_our_own_generator() -> None:
    found = percentiles([float(i) for i in range(1000)])
    assert (found["50"], found["99"], found["99.9"]) == (500.0, 990.0, 999.0)
