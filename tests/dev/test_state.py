"""The shared memory between a master and its workers: never torn, bounded, and read only there."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from bare_serve.dev import state
from bare_serve.dev.state import LONGEST, DevState, read_record, record_of


def test_a_failure_stays_until_new_code_serves() -> None:
    shared = DevState()
    first = shared.read()
    assert first.failure is None
    shared.failed(record_of("'app' raised KeyError", "Traceback", '{"type": "KeyError"}'))
    second = shared.read()
    assert second.failure is not None
    assert dict(read_record(second.failure)) == {
        "message": "'app' raised KeyError",
        "details": "Traceback",
        "exception": {"type": "KeyError"},
    }
    assert second.version == first.version == shared.version
    assert second.sequence != first.sequence
    shared.renewed()
    third = shared.read()
    assert (third.failure, third.version) == (None, first.version + 1)
    assert shared.sequence == third.sequence != second.sequence


def test_the_version_of_a_later_server_is_greater() -> None:
    before = DevState()
    before.renewed()
    threading.Event().wait(0.01)
    assert DevState().version > before.version


def test_a_new_master_goes_on_with_the_memory_of_the_one_before() -> None:
    before = DevState()
    before.failed(record_of("broken"))
    after = DevState(os.dup(before.fd))
    assert after.read() == before.read()
    after.renewed()
    assert before.read() == after.read()
    assert before.read().failure is None


def test_other_memory_is_refused() -> None:
    with open(os.devnull) as file, pytest.raises(OSError, match="is not the memory"):
        DevState(file.fileno())


def test_without_memory_that_has_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(state.os, "memfd_create")
    shared = DevState()
    shared.failed(b"{}")
    shared.only_read()
    assert (shared.fd, shared.read().failure) == (-1, b"{}")


def test_a_worker_only_reads() -> None:
    ours = DevState()
    theirs = DevState(os.dup(ours.fd))
    theirs.only_read()
    ours.renewed()
    ours.failed(record_of("broken"))
    assert theirs.read() == ours.read()
    assert theirs.fd == -1
    with pytest.raises(TypeError):
        theirs.renewed()


def test_no_reader_sees_half_of_a_record() -> None:
    shared = DevState()
    stop = threading.Event()
    records = {b'"%s"' % (letter * size) for letter, size in ((b"a", 60_000), (b"b", 7))}

    def write() -> None:
        while not stop.is_set():
            for record in records:
                shared.failed(record)
            shared.renewed()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = {shared.read().failure for _ in range(3000)}
        until = time.monotonic() + 60
        while len(found) < 2 and time.monotonic() < until:
            found.add(shared.read().failure)
    finally:
        stop.set()
        writer.join()
    assert found <= {*records, None}
    assert len(found) > 1


@pytest.mark.parametrize(
    ("message", "details", "exception"),
    [
        ("m" * LONGEST, "", ""),
        ("\x00" * LONGEST, "\x00" * LONGEST, "{}"),
        ("short", "short", json.dumps("x" * LONGEST)),
        ("short", "short", "no JSON"),
    ],
)
def test_a_record_is_bounded_and_whole(message: str, details: str, exception: str) -> None:
    record = record_of(message, details, exception)
    assert len(record) <= LONGEST
    found = read_record(record)
    assert message.startswith(found["message"])
    assert details.endswith(found["details"])
    assert found["exception"] is None
