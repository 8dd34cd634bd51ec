"""An editor, as far as a debugger sees it: the Debug Adapter Protocol, and a session a process.

What lives here: messages there and back, and following the processes that the first one starts.
What must not: what is tried with it.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import eventually

_SECONDS = 30


class Session:
    """One process that is debugged."""

    def __init__(self, port: int) -> None:
        self.socket: socket.socket = eventually(lambda: _connected(port), "a debugger", _SECONDS)
        self.stops: queue.Queue[dict[str, Any]] = queue.Queue()
        self.children: queue.Queue[dict[str, Any]] = queue.Queue()
        self.initialized = threading.Event()
        self._number = 0
        self._answers: dict[int, Any] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError, ValueError), self.socket.makefile("rb") as file:
            while line := file.readline():
                size = int(line.partition(b":")[2])
                file.readline()
                message = json.loads(file.read(size))
                if message["type"] == "response":
                    self._answers[message["request_seq"]] = message
                elif message.get("event") == "stopped":
                    self.stops.put(message["body"])
                elif message.get("event") == "debugpyAttach":
                    self.children.put(message["body"])
                elif message.get("event") == "initialized":
                    self.initialized.set()

    def send(self, command: str, arguments: Any) -> int:
        self._number += 1
        asked = {"seq": self._number, "type": "request", "command": command}
        body = json.dumps({**asked, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self._number

    def answer(self, number: int) -> Any:
        message = eventually(lambda: self._answers.get(number), f"answer {number}", _SECONDS)
        assert message["success"], message
        return message.get("body")

    def ask(self, command: str, **arguments: Any) -> Any:
        return self.answer(self.send(command, arguments))

    def attach(self, configuration: Any, file: Path, line: int) -> None:
        """Begin, with one breakpoint."""
        self.ask("initialize", adapterID="test")
        attaching = self.send("attach", configuration)
        assert self.initialized.wait(_SECONDS)
        at = [{"line": line}]
        self.ask("setBreakpoints", source={"path": str(file)}, breakpoints=at)
        self.ask("configurationDone")
        self.answer(attaching)


def _connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), _SECONDS)
    except OSError:
        return None


class Stop:
    """A thread that has come to the breakpoint."""

    def __init__(self, session: Session, thread: int) -> None:
        self._session, self._thread = session, thread
        stack = session.ask("stackTrace", threadId=thread)["stackFrames"]
        self.line, self._frame = stack[0]["line"], stack[0]["id"]

    def value(self, expression: str) -> str:
        """What the debugger says that this is there."""
        found = self._session.ask("evaluate", expression=expression, frameId=self._frame)
        return str(found["result"])

    def goes_on(self) -> None:
        self._session.ask("continue", threadId=self._thread)


class Editor:
    """Attached to a program, and to all processes that it starts."""

    def __init__(self, port: int, file: Path, line: int) -> None:
        self._at = file, line
        self._failure: Exception | None = None
        self.sessions = [Session(port)]
        self.sessions[0].attach({"subProcess": True}, *self._at)
        self._following = threading.Thread(target=self._follow, daemon=True)
        self._following.start()

    def _follow(self) -> None:
        try:
            while configuration := self.sessions[0].children.get():
                session = Session(configuration["connect"]["port"])
                session.attach(configuration, *self._at)
                self.sessions.append(session)
        except Exception as error:
            self._failure = error

    def stop(self) -> Stop:
        """Wait until a process is at the breakpoint."""
        return eventually(self._stopped, "a process at the breakpoint", _SECONDS)

    def _stopped(self) -> Stop | None:
        if self._failure is not None:
            raise self._failure
        for session in [*self.sessions]:
            with suppress(queue.Empty):
                return Stop(session, session.stops.get_nowait()["threadId"])
        return None

    def close(self) -> None:
        self.sessions[0].children.put({})
        self._following.join(_SECONDS)
        for session in self.sessions:
            with suppress(OSError):
                session.socket.shutdown(socket.SHUT_RDWR)
            session.socket.close()


@contextmanager
def editor(port: int, file: Path, line: int) -> Iterator[Editor]:
    """An editor with a breakpoint, attached to the debugger that listens on a port."""
    made = Editor(port, file, line)
    try:
        yield made
    finally:
        made.close()
