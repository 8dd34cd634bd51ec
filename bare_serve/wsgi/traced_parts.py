"""What a call under the x-ray reads from and writes to, observed: `wsgi.input`, `wsgi.errors`,
and the transport.

What lives here: an object around each, which tells how long the client made the call wait. What
must not: bodies (input.py), the connection (connection.py), the call (traced.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any

from bare_serve.http import Output
from bare_serve.wsgi.input import StreamInput
from bare_serve.wsgi.interfaces import Transport
from bare_serve.xray.show import words
from bare_serve.xray.trace import APP, WRONG, Trace, waited


class TracedInput:
    """A body, telling of each read; whatever else is asked of it, the body itself answers."""

    def __init__(self, stream: Any, trace: Trace) -> None:
        self._stream = stream
        self._trace = trace
        self.asked = False
        """Something was read, or tried."""

    def read(self, *size: int) -> Any:
        """See `io.BufferedIOBase.read`."""
        return self._told("read", *size)

    def read1(self, *size: int) -> Any:
        """See `io.BufferedIOBase.read1`."""
        return self._told("read1", *size)

    def readline(self, *size: int) -> Any:
        """See `io.IOBase.readline`."""
        return self._told("readline", *size)

    def readlines(self, *hint: int) -> Any:
        """See `io.IOBase.readlines`."""
        return self._told("readlines", *hint)

    def readinto(self, buffer: Any) -> Any:
        """See `io.BufferedIOBase.readinto`."""
        return self._told("readinto", buffer)

    def close(self) -> None:
        """Close the body, which is not the application's to close."""
        self._trace.breach("wsgi-input-close", "the application closes wsgi.input")
        self._stream.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line: bytes = self._told("__next__")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _told(self, name: str, *given: Any) -> Any:
        began = perf_counter()
        self.asked = True
        said = ", ".join(repr(each) for each in given if isinstance(each, int))
        shown = "next line" if name == "__next__" else f"{name}({said})"
        try:
            if name == "__next__":
                result = next(iter(self._stream))
            else:
                result = getattr(self._stream, name)(*given)
        except StopIteration:
            self._trace.step(APP, "wsgi.input", f"{shown}   the end", at=began)
            raise
        except Exception as error:
            what = f"{shown}   raises {type(error).__name__}: {words(str(error))}"
            self._trace.step(WRONG, "wsgi.input", what, at=began)
            raise
        if isinstance(result, bytes):
            got = f"{len(result)} B" if result else "b'', the end"
        elif isinstance(result, list):
            got = f"{len(result)} lines"
        else:
            got = f"{result} B"
        pause = ""
        if isinstance(self._stream, StreamInput):  # any other body is there
            pause = waited(perf_counter() - began, "the client")
        self._trace.step(APP, "wsgi.input", f"{shown}   {got}{pause}", at=began)
        return result


class TracedErrors:
    """`wsgi.errors`, telling what is written; attributes are those of the stream, and no others."""

    def __init__(self, stream: Any, trace: Trace) -> None:
        self._stream = stream
        self._trace = trace

    def write(self, text: Any) -> Any:
        """See `io.TextIOBase.write`."""
        self._tell("write", text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[Any]) -> Any:
        """See `io.IOBase.writelines`."""
        given = [*lines]
        for line in given:
            self._tell("writelines", line)
        return self._stream.writelines(given)

    def _tell(self, name: str, text: Any) -> None:
        if isinstance(text, str):
            self._trace.step(APP, "wsgi.errors", f"{name}()   {len(text)} characters")
        else:
            got = f"the application wrote {type(text).__name__} to wsgi.errors"
            self._trace.breach("wsgi-errors-str", got)

    def __getattr__(self, name: str) -> Any:
        if name == "close":
            self._trace.breach("wsgi-errors-close", "the application closed wsgi.errors")
        return getattr(self._stream, name)


class TracedTransport:
    """Where the bytes go: tells when they went, and how long the client made the thread wait."""

    def __init__(self, transport: Transport, trace: Trace) -> None:
        self._transport = transport
        self._trace = trace

    def transmit(self, output: Output, last: bool) -> None:
        """See `Transport.transmit`; the last piece may be held, see `Transport.release`."""
        began = perf_counter()
        self._transport.transmit(output, last)
        if not last:
            self._trace.flush_outs(self._waited(began))

    def send_piece(self, data: bytes) -> None:
        """See `Transport.send_piece`; it may be kept for a moment."""
        began = perf_counter()
        self._transport.send_piece(data)
        self._trace.flush_outs(self._waited(began))

    def _waited(self, began: float) -> str:
        """Return how long the client made the call wait: it has not taken all of it even now."""
        if not getattr(self._transport, "unsent", 0):
            return ""
        return waited(perf_counter() - began, "the client")

    def take_kept(self) -> bytes:
        """See `Transport.take_kept`."""
        return self._transport.take_kept()

    def release(self) -> None:
        """See `Transport.release`."""
        self._transport.release()
        self._trace.flush_outs()

    def send_file(self, fd: int, offset: int, count: int) -> None:
        """See `Transport.send_file`."""
        self._transport.send_file(fd, offset, count)
        self._trace.flush_outs()
