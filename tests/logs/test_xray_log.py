"""Blocks of an x-ray on their way out: whole, one behind the other, and never waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from bare_serve.logs.xray_log import XrayLog
from tests.support import ROOT
from tests.support.waiting import eventually

WRITER = """
import sys
from bare_serve.logs.xray_log import XrayLog
log = XrayLog(int(sys.argv[1]))
log.start()
import time
for number in range(40):
    log.put(lambda: (sys.argv[2] * 99 + "\\n") * 90 + "\\n")
    time.sleep(0.002)
log.close()
"""


def test_blocks_of_several_processes_are_not_mixed() -> None:
    read, write = os.pipe()
    command = (sys.executable, "-c", WRITER, str(write))
    writers = [
        subprocess.Popen((*command, letter), pass_fds=(write,), cwd=ROOT) for letter in "abc"
    ]
    os.close(write)
    with os.fdopen(read, encoding="ascii") as out:
        text = out.read()
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    blocks = [block for block in text.split("\n\n") if block]
    whole = [block for block in blocks if not block.startswith("...")]
    assert len(whole) > 20
    assert all(block == "\n".join([block[0] * 99] * 90) for block in whole)


def test_nobody_waits_for_an_output_that_takes_nothing_and_what_is_lost_is_said() -> None:
    read, write = os.pipe()
    log = XrayLog(write)
    log.start()
    block = "x" * 50_000 + "\n\n"
    began = time.thread_time()
    for _ in range(2000):
        log.put(lambda: block)
    assert time.thread_time() - began < 2.0
    eventually(lambda: log._blocked, "the writing thread gives up")
    got = bytearray()

    def take() -> None:
        while piece := os.read(read, 65536):
            got.extend(piece)

    taking = threading.Thread(target=take)
    taking.start()

    def said() -> bool:
        log.put(lambda: "the next one\n\n")
        return b"lost: the output did not take them\n\n" in got

    eventually(said, "the number of blocks that were lost")
    log.close()
    os.close(write)
    taking.join()
    os.close(read)
    assert b"\n... " in got


def test_no_more_records_than_can_be_read_and_the_rest_is_counted() -> None:
    read, write = os.pipe()
    log = XrayLog(write, most=3)
    admitted = [log.admit() for _ in range(10)]
    assert [bool(number) for number in admitted] == [True] * 3 + [False] * 7
    assert admitted[:3] == [1, 2, 3]
    log.start()
    log.close()
    os.close(write)
    with os.fdopen(read) as out:
        assert out.read() == "... 7 more, which were too many to show\n\n"


def test_what_waits_at_the_end_is_written() -> None:
    read, write = os.pipe()
    log = XrayLog(write)
    log.put(lambda: "one\n\n")
    log.start()
    log.put(lambda: "two\n\n")
    log.close()
    os.close(write)
    with os.fdopen(read) as out:
        assert out.read() == "one\n\ntwo\n\n"


@pytest.mark.parametrize("fd", [987_654])
def test_an_output_that_is_gone_harms_nobody(fd: int) -> None:
    log = XrayLog(fd)
    log.put(lambda: "lost\n\n")
    log.start()
    log.close()
