"""A real master in a process of its own, with workers that a test writes as source.

`master(source, **policy)` runs a script that defines `run_worker(slot, index)` and may use
what PREAMBLE defines. Workers and callbacks tell the test what happened with `note`, one
line each; the log and errors are in `stderr`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import children_of, clean_environment, eventually

PREAMBLE = '''
import atexit, logging, os, select, signal, sys, time
from pathlib import Path
from bare_serve.errors import BareServeError
from bare_serve.supervision import Callbacks, Policy, Supervisor
from bare_serve.workers.lifecycle import Lifecycle

MASTER = os.getpid()
SCRATCH = Path(sys.argv[1])

def note(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # one write: lines stay whole

def serve(slot, index, stop=lambda life: life.stopping, ticking=lambda: True):
    """A worker that behaves: says it is ready, ticks, and drains when asked to."""
    life = Lifecycle(slot, MASTER)
    read, write = os.pipe()
    life.install(lambda: os.write(write, b"x"))
    note("up", index, os.getpid())
    slot.ready({"index": str(index)})
    note("ready", index, os.getpid())  # whoever reads this may kill us: the master knows
    while not stop(life):
        if select.select([read], [], [], 0.02)[0]:
            os.read(read, 100)
        if ticking():
            life.tick(7, 0)
    note("drained", index, os.getpid())

def main(**policy):
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="%(message)s")
    try:
        code = Supervisor(Policy(**policy), Callbacks(run_worker, on_ready)).run()
    except BareServeError as error:
        print(getattr(error, "details", ""), error, sep="\\n", file=sys.stderr)
        code = error.exit_code
    note("end")
    sys.exit(code)

def on_ready(facts):
    note("banner", facts["index"])

run_worker = serve
'''


class Master:
    """The process and what it has told so far."""

    def __init__(self, process: subprocess.Popen[bytes], scratch: Path) -> None:
        self.process = process
        self.scratch = scratch

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return (self.scratch / "stderr").read_text()

    @property
    def workers(self) -> list[int]:
        return children_of(self.pid)

    def notes(self, kind: str = "") -> list[list[str]]:
        """The words of each note, without its kind if one is asked for."""
        lines = (self.scratch / "stdout").read_text().splitlines()
        words = [line.split() for line in lines]
        return [line[1:] for line in words if line[0] == kind] if kind else words

    def ready(self, count: int) -> list[tuple[int, int]]:
        """Wait for so many workers, dead ones counted; each is (index, pid)."""
        eventually(lambda: len(self.notes("ready")) >= count, f"{count} ready workers")
        return [(int(index), int(pid)) for index, pid in self.notes("ready")]

    def logged(self, text: str) -> str:
        eventually(lambda: text in self.stderr, f"{text!r} in the log")
        return self.stderr

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self, timeout: float = 15) -> int:
        return self.process.wait(timeout)

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()


@contextmanager
def master(source: str = "", **policy: float) -> Iterator[Master]:
    with tempfile.TemporaryDirectory(prefix="bare-serve-test-") as name:
        scratch = Path(name)
        script = scratch / "script.py"
        script.write_text(f"{PREAMBLE}\n{source}\nmain(**{policy!r})\n")
        with (scratch / "stdout").open("wb") as out, (scratch / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, str(script), name],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=clean_environment(),
                start_new_session=True,
            )
        try:
            yield Master(process, scratch)
        except BaseException as error:
            error.add_note((scratch / "stdout").read_text() + (scratch / "stderr").read_text())
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
