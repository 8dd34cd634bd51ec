"""A server with an ops process, and what is asked of that."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import RawClient, Response, Server, children_of, eventually, serve

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
_URL = re.compile(r"ops +(?:http://\S+?:(\d+)|unix:(\S+?))(?:, takes orders)?\n")
Address = tuple[str, int] | str


class Ops:
    """The ops process of a server."""

    def __init__(self, server: Server, address: Address) -> None:
        self.server = server
        self.address = address

    @property
    def pid(self) -> int:
        """Its number; 0 while there is none."""
        for pid in children_of(self.server.pid):
            if b"ops/__main__.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    @property
    def workers(self) -> list[int]:
        return [pid for pid in children_of(self.server.pid) if pid != self.pid]

    def ask(
        self, target: str = "/live", *lines: str, method: str = "GET", host: str = "localhost"
    ) -> Response:
        with RawClient(self.address) as client:
            head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]
            client.send("\r\n".join(head).encode())
            return client.response(method)

    def order(self, target: str, *lines: str) -> Response:
        return self.ask(target, "X-Bare-Serve: 1", *lines, method="POST")

    def all_serve(self) -> None:
        eventually(lambda: self.ask("/ready?workers=all").status == 200, "all workers")


def has_process(ops: Ops) -> int:
    return eventually(lambda: ops.pid, "an ops process")


@contextmanager
def with_ops(
    *arguments: str,
    ops: str = "127.0.0.1:0",
    source: str = WSGI,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
) -> Iterator[Ops]:
    with serve("app:app", "--ops", ops, *arguments, source=source, env=env, cwd=cwd) as server:
        yield Ops(server, address_of(server))


def address_of(server: Server) -> Address:
    found = eventually(lambda: _URL.search(server.output), "the address of the ops process")
    return found[2] or ("127.0.0.1", int(found[1]))


def runs_python(name: str) -> bool:
    """Whether we can become that user, who then can read this interpreter."""
    user = pwd.getpwnam(name)
    command = [sys.executable, "-c", "import click"]
    try:
        subprocess.run(command, user=user.pw_uid, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def memory_of(pid: int, kind: str = "Pss") -> int:
    """KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{kind}: +(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def open_descriptors(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")
