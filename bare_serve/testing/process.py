"""bare-serve as a process of its own, for tests: started, watched, and ended in any case.

What lives here: the process, what it writes, where it can be reached, and its end, also if the
process that started it is killed. What must not: pytest, and which servers a test session has
(live.py).

The server runs in a session of its own, so what is left of it can be killed as one process group.
Its output goes to files, so that a chatty server never blocks on a full pipe. Its standard input is
at its end from the start, and is one of a pair of sockets: as the other one is closed, which only
this process has, by whatever end it comes to, the kernel sends the server a TERM (F_SETSIG of
fcntl(2); only Linux has it).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bare_serve.errors import BareServeError

_BANNER = re.compile(r"^bare-serve \S+\n(?:  .*\n)*?(  address .*\n(?:   .*\n)*)", re.MULTILINE)
_URL = re.compile(r"(https?)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d+)")
_ERROR = re.compile(r"^bare-serve: error: (.*)$", re.MULTILINE)
_LOOK = 0.01


class ServerProcess:
    """One bare-serve process."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], scratch: Path
    ) -> None:
        """Start it; `scratch` is a directory for its output."""
        self._stdout, self._stderr = scratch / "stdout", scratch / "stderr"
        self.logs: list[Path] = []
        """Other files that it writes messages to."""
        self.url = ""
        """Where it accepts: the first address with a port, http or https; else unix:PATH."""
        self.host = ""
        self.port = 0
        self._tie, stdin = socket.socketpair()
        self._tie.shutdown(socket.SHUT_WR)
        try:
            with self._stdout.open("wb") as out, self._stderr.open("wb") as err, stdin:
                self.process: subprocess.Popen[bytes] = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**env},
                    stdin=stdin.fileno(),
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
                _signal_at_the_end(stdin, self.process.pid)
        except BaseException:
            self._tie.close()
            raise

    @property
    def pid(self) -> int:
        """That of the master, or of the only process."""
        return self.process.pid

    @property
    def stdout(self) -> str:
        """What it has written to standard output so far."""
        return _read(self._stdout)

    @property
    def stderr(self) -> str:
        """What it has written to standard error so far."""
        return _read(self._stderr)

    @property
    def output(self) -> str:
        """Both, and the log files that it was given."""
        return "".join(self.outputs)

    @property
    def outputs(self) -> list[str]:
        """The same, each by itself."""
        return [_read(path) for path in (self._stdout, self._stderr, *self.logs)]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait_until_ready(self, timeout: float = 30.0) -> None:
        """Wait until the first worker accepts, and take the URL that the server then writes.

        Raises:
            BareServeError: it ends before, or is not ready within `timeout` seconds.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout
        while not (found := _addresses_in("".join(self.outputs[1:]))):
            if not self.is_running:
                said = _ERROR.findall(self.output)
                why = f": {said[-1]}" if said else ""
                code = self.process.returncode
                raise BareServeError(f"bare-serve ended with {code} before it was ready{why}")
            if time.monotonic() > deadline:
                raise BareServeError(f"bare-serve was not ready within {timeout:g} s")
            time.sleep(_LOOK)
        self.url = next((each for each in found if _URL.match(each)), found[0])
        if match := _URL.match(self.url):
            self.host, self.port = match[2].strip("[]"), int(match[3])

    def send_signal(self, number: int) -> None:
        """Send a signal to the master."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 20) -> int:
        """Wait for the end and return the exit code; subprocess.TimeoutExpired if it is late."""
        return self.process.wait(timeout)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """Signal the master, wait and return the exit code."""
        if self.is_running:
            self.send_signal(number)
        return self.wait(timeout)

    def cleanup(self) -> None:
        """TERM, a little patience, then KILL for whatever is left of the process group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop(timeout=5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self._tie.close()


def _signal_at_the_end(end: socket.socket, pid: int) -> None:
    """Have that process get a TERM when no process has the other socket of the pair any more."""
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(end, fcntl.F_SETOWN, pid)
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)


def _addresses_in(text: str) -> list[str]:
    """Return the addresses that the banner names, as lines or as JSON."""
    if match := _BANNER.search(text):
        return [line.removeprefix("  address").split()[0] for line in match[1].splitlines()]
    for line in text.splitlines():
        if line.startswith("{") and '"address"' in line:
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if str(found.get("message", "")).startswith("bare-serve "):
                    return [each.split()[0] for each in str(found["address"]).split(", ")]
    return []


def _read(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):  # asked after the end: what was written is gone
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
