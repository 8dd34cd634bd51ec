"""A server's process: started on a free port, watched until it answers, always ended.

It runs in a session of its own, pinned to its cores, and gets a SIGTERM from the kernel should this
process die. `stop` asks politely, then ends what is left of the tree it started; nothing else is
ever signalled.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchmarks import proc
from benchmarks.peers import APPS, HOME, REPOSITORY, Environment
from benchmarks.scenario import Scenario
from benchmarks.servers import Launch, Server, fill

BOOT_SECONDS = 20.0
STOP_SECONDS = 3.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ServerFailed(Exception):
    """It did not start, or did not answer."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def launch_of(server: Server, scenario: Scenario) -> Launch:
    """On a free port, with a certificate where the scenario is about TLS."""
    pair = certificate() if scenario.tls else ("", "")
    if pair is None:
        raise ServerFailed("there is no openssl to make a certificate with")
    target = scenario.target(server.interface)
    return Launch(target, free_port(), scenario.workers, *pair, scenario.variables)


def scrub(text: str) -> str:
    """Without the paths of this machine, for reports."""
    for path, name in ((HOME, "benchmarks"), (REPOSITORY, "."), (Path.home(), "~")):
        text = text.replace(str(path), name)
    return text


class Running:
    """A started server."""

    def __init__(
        self, server: Server, launch: Launch, environment: Environment, cores: Sequence[int]
    ) -> None:
        self.server = server
        self.launch = launch
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self.started = time.monotonic()

        def in_child() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, cores)

        self.process = subprocess.Popen(
            fill(server, launch, environment.binaries),
            cwd=APPS,
            env=_variables(server, environment) | dict(launch.variables),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            preexec_fn=in_child,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        scheme = "https" if self.launch.cert else "http"
        return f"{scheme}://127.0.0.1:{self.launch.port}"

    def connect(self, timeout: float = 5.0) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.launch.port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.launch.cert:
            return plain
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain)

    def first_answer(self) -> float:
        """Seconds from the start to the first byte of an answer."""
        request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        while True:
            try:
                with self.connect() as client:
                    client.sendall(request)
                    if client.recv(1):
                        took = time.monotonic() - self.started
                        while client.recv(65536):  # to leave with bytes unread would be a reset
                            pass
                        return took
            except OSError:
                pass
            if self.process.poll() is not None:
                raise ServerFailed(self.obituary())
            if time.monotonic() - self.started > BOOT_SECONDS:
                raise ServerFailed(f"no answer in {BOOT_SECONDS:g} s: {self.last_words()}")
            time.sleep(0.002)

    def obituary(self) -> str:
        """How it died, if it did; else nothing."""
        code = self.process.poll()
        if code is None:
            return ""
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the server ended ({how}): {self.last_words()}"

    def last_words(self) -> str:
        end = os.fstat(self.log.fileno()).st_size
        tail = os.pread(self.log.fileno(), 8192, max(0, end - 8192))  # it may hold an access log
        lines = [line for line in tail.decode(errors="replace").splitlines() if line]
        return scrub(" / ".join(lines[-3:]))[-400:] or "it said nothing"

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """End the tree this object started, politely for so many seconds."""
        tree = proc.tree_pids(self.pid)
        if self.process.poll() is None and patience:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                tree = proc.tree_pids(self.pid)
        if self.process.returncode is None or any(_alive(pid) for pid in tree):
            try:
                os.killpg(self.pid, signal.SIGKILL)  # its own session: only what it started
            except ProcessLookupError:
                pass
        self.process.wait()
        self.log.close()


def _alive(pid: int) -> bool:
    return (proc.PROC / str(pid)).exists()


def _variables(server: Server, environment: Environment) -> dict[str, str]:
    paths = [str(APPS), str(REPOSITORY)] if server.ours else [str(APPS)]
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
    return {
        **kept,
        "PATH": f"{environment.binaries}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(paths),
        "BENCH_DOWNLOAD_FILE": str(download_file()),
    }


def download_file() -> Path:
    """10 MiB to be sent as a file, made when first asked for."""
    path = HOME / ".peers" / "10MiB.bin"
    if not path.exists() or path.stat().st_size != 10 << 20:
        path.write_bytes(b"x" * (10 << 20))
    return path


def certificate() -> tuple[str, str] | None:
    """Return a self-signed certificate and its key, or None where there is no openssl."""
    cert, key = HOME / ".peers" / "cert.pem", HOME / ".peers" / "key.pem"
    if not cert.exists():
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650"
            f" -subj /CN=localhost -keyout {key} -out {cert}"
        )
        try:
            subprocess.run(command.split(), check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    return str(cert), str(key)
