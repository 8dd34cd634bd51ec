"""What the master of a server under development tells its workers, in shared memory.

One writer at a time, any number of readers: the master, or the trial of a new program while the
master waits for it, writes; a worker reads, for each request if it likes. A reader never sees half
of a record: a sequence word is odd while somebody writes, and differs if somebody has written.

`version` grows each time new code serves, and `failure` is there from the moment a boot or a reload
has failed until new code serves. What the record of a failure says is composed here, too.

What must not live here: what a page makes of it (the wrapper around the application), and who
decides that something has failed (the master).
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

SIZE = 128 * 1024
"""Bytes of the memory."""
_TEXT = 64
LONGEST = SIZE - _TEXT
"""Bytes of a record of a failure, at the most."""
_SEQUENCE, _VERSION, _LENGTH, _CODE = range(4)
_TRIES = 1000
_SHORT_MESSAGE, _SHORT_DETAILS = 1000, 10_000
"""Characters, of six bytes each at the worst, of a record that was too long."""


class BrowserOptions(NamedTuple):
    """What the wrapper around the application does; see `Reading` for what it knows."""

    error_page: bool = True
    """Answer exceptions of the application, and failures of a reload, by a page."""
    live: bool = False
    """Have HTML pages load themselves again when new code serves."""


class Reading(NamedTuple):
    """The state at one moment."""

    sequence: int
    """Differs from that of another reading if anything was written in between."""
    version: int
    """Grows each time new code serves; a server that was started later begins with a greater one,
    as long as the machine runs."""
    failure: bytes | None
    """The JSON of `record_of`; None while the newest code serves."""


class DevState:
    """The shared memory; made by the master before the first fork, and inherited by workers."""

    def __init__(self, fd: int = -1) -> None:
        """`fd`: the descriptor of the memory that another DevState has had.

        Raises:
            OSError: there is no memory, or the descriptor is of another one.
        """
        self.fd = fd
        """The descriptor of the memory; -1 where the system has none, and in a worker."""
        if fd < 0 and hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("bare-serve-dev", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(self.fd, SIZE)
            # No process can make it smaller, at which its readers would die by SIGBUS.
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        if self.fd >= 0 and os.fstat(self.fd).st_size != SIZE:
            raise OSError(f"descriptor {fd} is not the memory of a server")
        self.code = 0
        """Which code a worker serves: it inherits the number that the master had at its fork."""
        self.begun()
        self._map(mmap.mmap(self.fd, SIZE))
        if not self._words[_VERSION]:
            self._words[_VERSION] = time.monotonic_ns() // 1_000_000

    def _map(self, memory: mmap.mmap) -> None:
        view = memoryview(memory)
        self._words = view[:_TEXT].cast("q")
        self._text = view[_TEXT:]

    @property
    def sequence(self) -> int:
        """What `read` would give as `sequence`: one word, for those who look often."""
        return int(self._words[_SEQUENCE])

    @property
    def version(self) -> int:
        """What `read` would give as `version`."""
        return int(self._words[_VERSION])

    @property
    def is_outdated(self) -> bool:
        """Whether other workers serve newer code, so that this one is about to end."""
        return self.code < int(self._words[_CODE])

    def read(self) -> Reading:
        """Return the state of this moment."""
        words = self._words
        for _ in range(_TRIES):
            sequence = int(words[_SEQUENCE])
            if sequence & 1:
                time.sleep(0)  # the writer is at work: a few microseconds
                continue
            version, length = int(words[_VERSION]), int(words[_LENGTH])
            failure = bytes(self._text[:length]) if 0 < length <= LONGEST else None
            if words[_SEQUENCE] == sequence:
                return Reading(sequence, version, failure)
        return Reading(sequence, self.version, None)  # a writer has died while it wrote

    def begun(self) -> None:
        """Workers that start from now on are of other code: the number of the code grows, even
        from one master to the next, as long as the machine runs."""
        self.code = max(time.monotonic_ns() // 1_000_000, self.code + 1)

    def renewed(self) -> None:
        """Note that new code serves: the version grows, and nothing has failed any more."""
        self._words[_CODE] = self.code
        self._write(b"", self.version + 1)

    def failed(self, record: bytes) -> None:
        """Note that a boot or a reload has failed.

        Args:
            record: what `record_of` returned.
        """
        self._write(record[:LONGEST], self.version)

    def _write(self, failure: bytes, version: int) -> None:
        words = self._words
        sequence = words[_SEQUENCE] | 1
        words[_SEQUENCE] = sequence
        self._text[: len(failure)] = failure
        words[_LENGTH], words[_VERSION] = len(failure), version
        words[_SEQUENCE] = sequence + 1

    def only_read(self) -> None:
        """In a worker: have no way to write, as the application has all that the worker has."""
        if self.fd < 0:
            return
        memory = mmap.mmap(self.fd, SIZE, prot=mmap.PROT_READ)
        self._words.release()
        self._text.release()
        self._map(memory)
        os.close(self.fd)
        self.fd = -1


def record_of(message: str, details: str = "", exception: str = "") -> bytes:
    """Return the record of a failure, as JSON of at most `LONGEST` bytes.

    Args:
        message: one sentence; it is always there.
        details: the application's traceback as text, if there is one.
        exception: the JSON of the exception's structure, if there is one; left out of a record that
            would be too long.
    """
    record: dict[str, Any] = {"message": message, "details": details}
    try:
        structure = json.loads(exception) if exception else None
    except ValueError:
        structure = None
    whole = json.dumps({**record, "exception": structure}).encode()
    if len(whole) <= LONGEST:
        return whole
    short = {
        "message": message[:_SHORT_MESSAGE],
        "details": details[-_SHORT_DETAILS:],
        "exception": None,
    }
    return json.dumps(short).encode()


def read_record(record: bytes) -> Mapping[str, Any]:
    """Return what `record_of` was given: message, details, and exception, which may be None."""
    found = json.loads(record)
    return {"message": "", "details": "", "exception": None, **found}
