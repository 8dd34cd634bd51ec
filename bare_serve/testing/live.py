"""Live servers for tests: real ones, one for each target with its settings, shared by a session.

What lives here: from a call of the fixture to a server that runs, and back to none. What must not:
pytest (plugin.py), how a process is kept (process.py).

A target's text is served by the command, in processes of its own. An application object is served
by `bare_serve.Server` in a thread of this process: a fork would copy the objects, and what the
application does to them, or the test replaces in them, would never meet; and a process with threads
is not safe to fork.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import bare_serve
from bare_serve.errors import BareServeError
from bare_serve.testing.live_request import Fields, LiveResponse, send_request
from bare_serve.testing.process import ServerProcess

if TYPE_CHECKING:
    from bare_serve import Server

_SHOWN = 20_000
"""Characters of a log that are shown with a failure."""


class _Backend(Protocol):
    """What a live server is made of."""

    url: str
    pid: int

    @property
    def outputs(self) -> list[str]:
        """What it has written so far, each stream and file by itself."""

    @property
    def is_running(self) -> bool:
        """Whether it still serves."""

    def stop(self) -> None:
        """End it, in any case."""


class LiveServer:
    """A server that accepts connections; made by `LiveServers`."""

    def __init__(self, target: str, backend: _Backend) -> None:
        self.target = target
        self._backend = backend
        self._marked: list[int] = []

    @property
    def url(self) -> str:
        """Where it is: http://127.0.0.1:PORT, https://..., or unix:PATH; without a slash behind."""
        return self._backend.url

    @property
    def ws_url(self) -> str:
        """The same for WebSockets: ws:// or wss://."""
        return self.url.replace("http", "ws", 1) if self.url.startswith("http") else self.url

    @property
    def host(self) -> str:
        """The address that it listens on; nothing for a unix socket."""
        return self.url.partition("://")[2].rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port that it listens on; 0 for a unix socket."""
        return int(self.url.rpartition(":")[2]) if self.url.startswith("http") else 0

    @property
    def pid(self) -> int:
        """That of its master; that of this process for an application object."""
        return self._backend.pid

    @property
    def log(self) -> str:
        """All that it has written: the banner, messages, the access log, what was printed."""
        return "".join(self._backend.outputs)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._backend.is_running

    def request(
        self,
        method: str,
        path: str = "/",
        *,
        headers: Fields = (),
        body: bytes | str = b"",
        timeout: float = 10.0,
    ) -> LiveResponse:
        """Send a request on a connection of its own, and return the complete answer.

        Raises:
            OSError: the server cannot be reached, or takes longer than `timeout` seconds; with its
                log as a note.
            http.client.HTTPException: it does not answer by the rules; with its log as a note.
        """
        __tracebackhide__ = True
        try:
            return send_request(self.url, method, path, headers, body, timeout)
        except Exception as error:
            error.add_note(f"The log of {self.target}:\n{self.log[-_SHOWN:]}")
            raise

    def stop(self) -> None:
        """End it; the next call of the fixture for the same target starts another one."""
        self._backend.stop()

    def mark(self) -> None:
        """Have `news` begin here."""
        self._marked = [len(each) for each in self._backend.outputs]

    @property
    def news(self) -> str:
        """What it has written since `mark`, the end of it if that is much."""
        outputs = zip_longest(self._backend.outputs, self._marked, fillvalue=0)
        return "".join(str(text)[int(begin) :] for text, begin in outputs)[-_SHOWN:]


class LiveServers:
    """The value of the fixture: called with a target and settings, it gives a `LiveServer`."""

    def __init__(self, cwd: Path) -> None:
        """`cwd`: where the servers' processes run."""
        self._cwd = cwd
        self._servers: dict[object, tuple[object, LiveServer]] = {}

    def __call__(
        self,
        target: str | Callable[..., Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        start_timeout: float = 30.0,
        **settings: Any,
    ) -> LiveServer:
        """Return the server of that target with these settings; start it if there is none.

        Args:
            target: "module:attribute" for a process of its own, or the application itself, which is
                served in a thread of this process. None: what the command finds by itself.
            env: variables for the process, beside those of this one.
            start_timeout: seconds that it may take until it accepts.
            settings: those of the command line with underscores. It listens on a free port of
                127.0.0.1 if they do not say where.

        Raises:
            BareServeError: it does not come up; the message says why, with its log as a note.
        """
        __tracebackhide__ = True
        name = target if isinstance(target, str) else getattr(target, "__qualname__", repr(target))
        given = target if target is None or isinstance(target, str) else id(target)
        key = (given, repr(sorted(settings.items())), repr(sorted((env or {}).items())))
        found = self._servers.get(key)
        if found is not None and found[1].is_running:
            return found[1]
        if found is not None:
            found[1].stop()  # what is left of it
        where = settings if {"bind", "host", "port"} & {*settings} else {"port": 0, **settings}
        if "host" in where and "port" not in where:
            where = {"port": 0, **where}
        backend: _Backend
        if target is None or isinstance(target, str):
            backend = _Process(target, where, self._cwd, env or {}, start_timeout)
        else:
            if env:
                raise BareServeError(
                    "live_server(env=...) is for a process; an application object shares this "
                    "one's environment"
                )
            backend = _InThread(target, {"timeout_boot": start_timeout, **where})
        server = LiveServer(name or "the application", backend)
        # The application is kept with it, since another one could get its id.
        self._servers[key] = (target, server)
        return server

    def __iter__(self) -> Iterator[LiveServer]:
        return (server for _, server in self._servers.values())

    def close(self) -> None:
        """End all of them."""
        while self._servers:
            self._servers.popitem()[1][1].stop()


class _Process:
    """A server in processes of its own."""

    def __init__(
        self,
        target: str | None,
        settings: Mapping[str, Any],
        cwd: Path,
        env: Mapping[str, str],
        timeout: float,
    ) -> None:
        __tracebackhide__ = True
        self._scratch = Path(tempfile.mkdtemp(prefix="bare-serve-live-"))
        self._outputs: list[str] = []
        command = [sys.executable, "-m", "bare_serve", *([target] if target else ())]
        variables = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": _import_path()}
        variables |= {"PYTHONUNBUFFERED": "1", **env}  # what is printed belongs to the log at once
        try:
            self._process = ServerProcess(
                [*command, *flags(settings)], cwd=cwd, env=variables, scratch=self._scratch
            )
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        for name in ("error_log", "access_log"):
            if (place := str(settings.get(name, "-"))) not in ("-", "off"):
                self._process.logs.append(cwd / place)
        try:
            self._process.wait_until_ready(timeout)
        except BaseException as error:
            self.stop()
            error.add_note(f"The log of {target}:\n{''.join(self.outputs)[-_SHOWN:]}")
            raise
        self.url = self._process.url
        self.pid = self._process.pid

    @property
    def outputs(self) -> list[str]:
        return self._outputs or self._process.outputs

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def stop(self) -> None:
        self._process.cleanup()
        self._outputs = self.outputs
        shutil.rmtree(self._scratch, ignore_errors=True)


class _InThread:
    """A server for an object, in a thread of this process."""

    def __init__(self, app: Callable[..., Any], settings: Mapping[str, Any]) -> None:
        __tracebackhide__ = True
        self._records = _Records()
        self._server: Server | None = bare_serve.Server(app, **settings)
        logger = logging.getLogger("bare_serve")
        logger.addHandler(self._records)
        try:
            self._server.__enter__()
        except BaseException:
            logger.removeHandler(self._records)
            raise
        self.url = self._server.urls[0]
        self.pid = os.getpid()

    @property
    def outputs(self) -> list[str]:
        return ["".join(self._records.lines)]

    @property
    def is_running(self) -> bool:
        return self._server is not None and bool(self._server.urls)

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            try:
                server.stop(grace=1.0)
                server.__exit__(None, None, None)
            finally:
                logging.getLogger("bare_serve").removeHandler(self._records)


class _Records(logging.Handler):
    """Keeps what servers in this process log, as far as logging is set up to let it through."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)}\n")


def flags(settings: Mapping[str, Any]) -> Iterator[str]:
    """Return settings as the command line has them: workers=2 is --workers=2.

    True and False are switches, --preload and --no-preload; a list is a flag for each of its
    values; None is no flag. What is wrong, the command says.
    """
    for name, value in settings.items():
        key = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{key}" if value else f"--no-{key}"
        elif value is not None:
            for each in _values(value):
                yield f"--{key}={each}"


def _values(value: object) -> Iterable[object]:
    if not isinstance(value, list | tuple):
        return (value,)
    # A pair is a header.
    return [": ".join(each) if isinstance(each, tuple) else each for each in value]


def _import_path() -> str:
    """Return what the process can import beside installed packages: what this one can."""
    library = {os.path.realpath(path) for path in sysconfig.get_paths().values()}
    found = []
    for path in (Path(each).absolute() for each in sys.path):
        installed = path.name in ("site-packages", "dist-packages", "lib-dynload")
        if path.is_dir() and not installed and str(path.resolve()) not in library:
            found.append(str(path))
    return os.pathsep.join(found)
