"""An application that does not mean well reaches the master's shared memory and its pipe.

The workers of these tests have the rights of the test's user, which may be root: what they cannot
do, another user's workers cannot do either.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

import pytest

from bare_serve.supervision.messages import parse
from bare_serve.supervision.scoreboard import ROW, Scoreboard
from tests.supervision.master import master
from tests.support import eventually

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2), /proc")

# Everything that is mapped and shared is written to, by the kernel's own door.
STRANGER = """


def shared():
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if fields[1].endswith("s") and "w" in fields[1]:
            first, end = (int(each, 16) for each in fields[0].split("-"))
            yield first, end

def truncate():
    done = 0
    for name in [*os.listdir("/proc/self/fd")]:
        for path in (f"/proc/self/fd/{name}",):
            try:
                if "memfd:bare-serve-counts" in os.readlink(path):
                    done += 1
                    os.truncate(path, 0)
                    done += 100
            except OSError:
                pass
    return done

def scribble(word):
    row = word.to_bytes(8, "little", signed=True) * 8 + b"\\n\\x1b[31mERROR forged \\xff" * 200
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for first, end in shared():
            for page in range(first, end, mmap.PAGESIZE):
                memory.seek(page)
                memory.write(row[: mmap.PAGESIZE])

import mmap

def run_worker(slot, index):
    if (SCRATCH / "tame").exists():
        return serve(slot, index)
    life = Lifecycle(slot, MASTER)
    slot.ready({"index": str(index)})
    note("descriptors", truncate())
    note("bytes", sum(end - first for first, end in shared()))
    scribble(RUBBISH)
    note("ready", index, os.getpid())
    while True:
        time.sleep(60)
"""


@LINUX
@pytest.mark.parametrize("rubbish", [-1, -(2**63), 2**63 - 1, 2**62])
def test_rubbish_in_every_word_neither_ends_the_master_nor_fools_it(rubbish: int) -> None:
    source = f"RUBBISH = {rubbish}\n{STRANGER}"
    with master(source, workers=1, max_requests=1000, timeout_worker=600.0) as m:
        [(_, worker)] = m.ready(1)
        assert m.notes("descriptors") == [["0"]]  # none of the memory
        assert m.notes("bytes") == [[str(ROW)]]  # and of its pages the worker's own
        (m.scratch / "tame").touch()
        os.kill(worker, signal.SIGKILL)  # what it was doing is told now
        m.ready(2)
        log = m.logged("It was at work on: " if rubbish > 0 else "was killed by SIGKILL")
        assert "\x1b" not in log
        assert "\nERROR forged" not in log
        assert max(map(len, log.splitlines())) < 5000
        assert "has served" not in log
        assert m.stop() == 0


@LINUX
def test_a_sign_of_life_from_the_future_makes_nobody_immortal() -> None:
    source = f"RUBBISH = 2**62\n{STRANGER}"
    with master(source, workers=1, timeout_worker=1.0) as m:
        m.ready(1)
        (m.scratch / "tame").touch()
        m.logged("has shown no sign of life for ")
        m.ready(2)
        assert " 4611686018427387904 connections" not in m.stderr
        assert m.stop() == 0


def test_what_is_written_into_the_pipe_ends_no_master() -> None:
    source = """
def run_worker(slot, index):
    life = Lifecycle(slot, MASTER)
    words = [
        b"[" * 200_000, b"null", b"5", b"[]", b'["ready"]', b'["ready", 5]', b'["ready", null, 1]',
        b'["failed", 5]', b'["failed", []]', b'["failed", [1, 2]]', b'["failed", {"0": 1}]',
        b'[["failed"], 1]', b"\\xff\\xfe", b"x" * (3 << 20),
        b'["ready", {"index": "\\\\u001b[2J"}]',
    ]
    for word in words:
        data = word + b"\\n"
        while data:
            data = data[os.write(slot._fd, data):]
    serve(slot, index)
"""
    with master(source, workers=1) as m:
        m.ready(1)
        eventually(lambda: m.notes("banner"), "the banner")
        assert m.notes("banner") == [["\\x1b[2J"]]
        assert m.stop() == 0


@LINUX
def test_a_worker_that_never_stops_talking_fills_no_memory() -> None:
    source = """
def run_worker(slot, index):
    if (SCRATCH / "tame").exists():
        return serve(slot, index)
    slot.ready({"index": str(index)})
    data = b"x" * 65536
    for _ in range(1000):
        left = data
        while left:
            left = left[os.write(slot._fd, left):]
    note("ready", index, os.getpid())
    while True:
        os.write(slot._fd, data)
"""
    with master(source, workers=1) as m:
        [(_, talker)] = m.ready(1)  # has said 64 MiB without an end of line
        status = Path(f"/proc/{m.pid}/status").read_text()
        [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        assert int(peak) < 60_000
        (m.scratch / "tame").touch()
        os.kill(talker, signal.SIGKILL)
        m.ready(2)
        assert m.stop() == 0


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (b'["ready", {"a": 5}]', ("ready", {"a": "5"})),
        (b'["failed", ["one\\ntwo\\u0007", "three"]]', ("failed", ("one\ntwo\\x07", "three", ""))),
        (b'["misused", ["one", "two"]]', ("misused", ("one", "two", ""))),
        (b'["failed", ["one", "two", "{}"]]', ("failed", ("one", "two", "{}"))),
        (b'["failed", ["one", "two", 3]]', None),
        (b'["imported", ["/a.py", "/b.py"]]', ("imported", ("/a.py", "/b.py"))),
        (b'["imported", ["/a.py", 1]]', None),
        (b'["imported", "/a.py"]', None),
        (b'["failed", ["one"]]', None),
        (b'["other", {}]', None),
        (b"{}", None),
    ],
)
def test_only_what_a_slot_says_means_something(line: bytes, meaning: object) -> None:
    assert parse(line) == meaning


def test_a_fact_that_was_not_told_is_empty() -> None:
    told = parse(b'["ready", {}]')
    assert told is not None
    assert told[1]["interface"] == ""


@LINUX
def test_the_memory_is_sealed_and_nothing_else_is_taken_over() -> None:
    board = Scoreboard(rows=2)
    assert Scoreboard.is_sound(board.fd, 2)
    assert not Scoreboard.is_sound(board.fd, 3)
    for size in (0, ROW, 3 * ROW):
        with pytest.raises(PermissionError):
            os.ftruncate(board.fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(board.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    fd = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 2 * ROW)
    assert not Scoreboard.is_sound(fd, 2)
    os.close(fd)
    assert not Scoreboard.is_sound(fd, 2)
    board.close()


def _shared_memory() -> set[int]:
    """Descriptors of it in this process."""
    links = {each: os.path.realpath(f"/proc/self/fd/{each}") for each in range(256)}
    return {each for each, link in links.items() if "memfd" in link}


@LINUX
def test_a_worker_keeps_its_row_and_no_other() -> None:
    others = _shared_memory()  # of boards that tests before this one have left
    board = Scoreboard(rows=3)
    first, second = board.acquire(), board.acquire()
    pid = os.fork()
    if pid == 0:
        try:
            board.keep_only(second)
            second.beat(3, 4)
            second.doing = "this"
            code = 1 if _shared_memory() - others else 0
            try:
                first.beat(1, 1)
                code = 2
            except ValueError:
                pass
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert (second.connections, second.requests, second.doing) == (3, 4, "this")
    assert first.requests == 0
    board.close()
