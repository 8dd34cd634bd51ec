"""One call of a WSGI application: start_response, write, the iterable, close (PEP 3333).

What lives here: the application's side of an exchange. What must not: sockets and framing; pieces
go through the connection's `send_body` and what it gives back goes to `transmit`.

The application's mistakes are raised into it (`ResponseError`, which names the clause), the
exceptions of its iterable leave `send`; `close()` of that is called in every case.

HOT PATH: a list of one piece is the usual answer, and leaves as one write.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from bare_serve.clauses import mistake, misuse
from bare_serve.http import Field, ServerExchange
from bare_serve.http1 import ResponseFields, response_fields, status_line
from bare_serve.wsgi.interfaces import Transport

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# A list is complete when it is returned, so its pieces can leave as one if copying is cheap.
_JOIN_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 16
_BUFFERED = (io.BufferedReader, io.BufferedRandom)
MEMO_ENTRIES = 4096
MEMO_PAIR_CHARS = 256
MEMO_BLOCKS = 1024

# The callables of one request must not reach into the answer of the next.
_OVER = "the answer is over, and another request has begun"

_fields: dict[tuple[str, str], Field] = {}
_blocks: dict[tuple[tuple[str, str], ...], ResponseFields] = {}
_statuses: dict[str, tuple[int, bytes]] = {}


class FileWrapper:
    """`wsgi.file_wrapper`: an iterable over a file, which the server may send by sendfile.

    It is its own iterator, as wsgiref's: frameworks that send a part of it close what `iter` gave
    them, and leap to the part if it is `seekable`.
    """

    def __init__(self, filelike: Any, block_size: int = _BLOCK_BYTES) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def seekable(self) -> bool:
        """Return whether `seek` and `tell` work."""
        asked = getattr(self.filelike, "seekable", None)
        return bool(asked and asked())

    def seek(self, *place: int) -> int:
        """As the file has it."""
        found: int = self.filelike.seek(*place)
        return found

    def tell(self) -> int:
        """As the file has it."""
        found: int = self.filelike.tell()
        return found

    def remaining(self) -> tuple[int, int, int] | None:
        """Descriptor, offset and bytes from there on; None if only `read` gives the content.

        Many objects have a `fileno` whose bytes are not theirs (GzipFile, for one), so only
        Python's own binary files are taken at their word. A size of 0 may be that of a file
        that makes up its content, as in /proc.
        """
        file = self.filelike
        try:
            raw = file.raw if type(file) in _BUFFERED else file
            if type(raw) is not io.FileIO:
                return None
            fd = raw.fileno()
            status = os.fstat(fd)
            offset = file.tell()
        except (OSError, ValueError):  # closed, or not seekable
            return None
        count = status.st_size - offset
        return (fd, offset, count) if stat.S_ISREG(status.st_mode) and count > 0 else None


class Exchange:
    """A request being answered by a WSGI application.

    It is `wsgi.early_hints` as well: a bound method for each request would be one object more.
    """

    __slots__ = ("_connection", "_request", "_transport")

    def __init__(self, connection: ServerExchange, transport: Transport) -> None:
        self._connection = connection
        self._request = connection.requests
        self._transport = transport

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Start the response (PEP 3333, "The start_response() Callable").

        Raises:
            StartResponseError: called twice without `exc_info`, or with wrong types.
            ResponseError: something in it must not be sent, or the answer is over.
            BaseException: the one in `exc_info`, if bytes have already been sent.
        """
        connection = self._connection
        if self._request != connection.requests:
            raise mistake("wsgi-start-over", _OVER)
        if exc_info:
            try:
                if connection.response_started and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the reference cycle, as the PEP asks
        elif connection.status:
            raise misuse(
                "wsgi-start-twice", "start_response was called a second time without exc_info"
            )
        if type(headers) is not list:
            raise misuse(
                "wsgi-headers-list", f"the headers must be a list, not {type(headers).__name__}"
            )
        code, reason = _statuses.get(status) or parse_status(status)
        try:
            fields = _blocks.get(tuple(headers))
        except TypeError:  # one is not even hashable
            fields = None
        connection.start_response(code, fields or _block(headers), reason)
        return self.write

    def write(self, data: bytes) -> None:
        """Send `data`: the callable that start_response returns."""
        if self._request != self._connection.requests:
            raise mistake("wsgi-start-over", _OVER)
        _check(data)
        if self._connection.response_complete:
            raise mistake("http-answer-once", "the response is already complete")
        self._transport.send_piece(data)

    def __call__(self, headers: list[tuple[str, str]]) -> None:
        """`wsgi.early_hints`: an interim 103 with these fields (RFC 8297), before the answer.

        Raises:
            ResponseError: see `start_response`; also after the answer's start.
            ClientGone: the client takes it no more.
        """
        connection = self._connection
        if self._request != connection.requests:
            raise mistake("wsgi-start-over", _OVER)
        fields = encode_fields(headers)
        self._transport.transmit(connection.informational(103, fields), False)

    def send(self, result: Iterable[bytes]) -> None:
        """Send what the application has returned.

        Raises:
            ResponseError: it is no body, or the application has not called start_response.
            Exception: whatever the iterable raises.
        """
        kind = type(result)
        if kind is list or kind is tuple:  # these two have no close()
            self.send_list(result)
            return
        try:
            if isinstance(result, FileWrapper):
                self._send_file(result)
            else:
                self._send_iterable(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                try:  # PEP 3333: no piece is delayed, be close() ever so slow
                    self._transport.release()
                finally:
                    close()

    def send_list(self, result: Any) -> None:
        """Send a list or a tuple; see `send`. Case of its own: it runs no code of anybody's."""
        if len(result) == 1:
            data = result[0]
            if type(data) is not bytes:
                _check(data)
        else:
            for data in result:
                _check(data)
            if sum(map(len, result)) > _JOIN_BYTES:
                self._send_iterable(result)
                return
            data = b"".join(result)
        connection, transport = self._connection, self._transport
        if not connection.status:
            self._require_start()
        if connection.response_started:  # by write()
            data = transport.take_kept() + data
        transport.transmit(connection.send_body(data, False), True)

    def _send_iterable(self, result: Iterable[bytes]) -> None:
        connection, transport = self._connection, self._transport
        single, only_head = _length(result) == 1, self._only_head()
        for data in result:
            if type(data) is not bytes:
                _check(data)
            if single:
                self._require_start()
                data = transport.take_kept() + data
                transport.transmit(connection.send_body(data, False), True)
                return
            if not data:
                continue  # PEP 3333: an empty piece says "not yet", also before the headers
            if not connection.status:
                self._require_start()
            transport.send_piece(data)
            if connection.overrun or only_head:
                break  # PEP 3333 and RFC 9110, 9.3.2: what follows would not be sent
        self._require_start()
        transport.transmit(connection.send_body(transport.take_kept(), False), True)

    def _send_file(self, wrapper: FileWrapper) -> None:
        """Send the rest of a regular file by sendfile, anything else block by block."""
        connection, transport = self._connection, self._transport
        found = wrapper.remaining() if connection.raw_files else None
        self._require_start()
        if found is None or connection.response_started:
            self._send_iterable(wrapper)
            return
        transport.send_file(*found)
        transport.transmit(connection.send_body(b"", False), True)

    def _only_head(self) -> bool:
        head = self._connection.head
        return head is not None and head.method == "HEAD"

    def _require_start(self) -> None:
        if not self._connection.status:
            raise mistake(
                "wsgi-start-missing", "the application sent a body without calling start_response"
            )


def _check(data: object) -> None:
    if not isinstance(data, bytes):
        raise mistake(
            "wsgi-body-bytes", f"a WSGI body consists of bytes, not {type(data).__name__}"
        )


def _length(result: object) -> int | None:
    """Return the number of pieces, None if unknown; ResponseError for what is no body."""
    if result is None or isinstance(result, str | bytes):
        raise mistake(
            "wsgi-body-iterable",
            f"a WSGI application returns an iterable of bytes, such as [b'...'], "
            f"not {type(result).__name__}",
        )
    try:
        return len(result)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None


def parse_status(status: str) -> tuple[int, bytes]:
    """Return `"404 Not Found"` as 404 and its reason, which is empty if it is the usual one.

    Raises:
        ResponseError: it is no str, does not begin with three digits, or cannot be sent.
    """
    if type(status) is not str:
        raise misuse(
            "wsgi-status-str",
            f"the status must be a str, such as '200 OK', not {type(status).__name__}",
        )
    code, _, reason = status.partition(" ")
    if len(code) != 3 or not (code.isascii() and code.isdigit()):
        raise mistake(
            "wsgi-status-digits",
            f"the status must begin with three digits, such as '200 OK', not {status!r}",
        )
    parsed = int(code), _latin1(reason)
    if status_line(*parsed) == status_line(parsed[0]):
        parsed = parsed[0], b""  # its usual one, whose line is ready made
    if len(_statuses) < MEMO_ENTRIES and len(status) < MEMO_PAIR_CHARS:
        _statuses[status] = parsed
    return parsed


def _block(headers: list[tuple[str, str]]) -> ResponseFields:
    """Return headers not met before; remembered if they may repeat."""
    fields = response_fields(encode_fields(headers))
    if fields.repeats:
        if len(_blocks) >= MEMO_BLOCKS:
            _blocks.clear()
        _blocks[tuple(headers)] = fields
    return fields


def encode_fields(headers: list[tuple[str, str]]) -> list[Field]:
    """Return header pairs as bytes; each remembered.

    Raises:
        StartResponseError: they are no tuples of two str.
        ResponseError: one has characters that cannot be sent.
    """
    known = _fields.get
    try:
        return [known(header) or _field(header) for header in headers]
    except TypeError:  # one is not even hashable
        return [_field(header) for header in headers]


def _field(header: tuple[str, str]) -> Field:
    """Return a header pair as bytes; remembered."""
    if not isinstance(header, tuple) or len(header) != 2:
        raise misuse("wsgi-headers-tuple", f"a header must be a tuple of two str, not {header!r}")
    name, value = header
    if type(name) is not str or type(value) is not str:
        raise misuse(
            "wsgi-headers-str", f"header names and values must be str, not {name!r}: {value!r}"
        )
    field = _latin1(name), _latin1(value)
    if len(name) + len(value) < MEMO_PAIR_CHARS and name.lower() != "set-cookie":
        if len(_fields) >= MEMO_ENTRIES:
            _fields.clear()
        _fields[header] = field
    return field


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise mistake(
            "wsgi-latin1", f"{text!r} cannot be sent: it has characters above U+00FF"
        ) from None
