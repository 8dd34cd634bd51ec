"""What a middleware is: a decision on the head of a request, and on the head of its answer.

What lives here: the records and the protocols that policies and adapters hand to each other. What
must not: WSGI and ASGI (adapter_wsgi.py, adapter_asgi.py), any single policy, input and output.

A policy is made once and sees many requests, at the same time and in several threads. What it has
to remember of one request stands in the `Exchange` that `begin` returns.

For policies A, B in this order around an application:

    A.begin, B.begin, application, B.start, A.start, B.body, A.body ..., B.end, A.end

`begin` of B is not called if A answers; the exchanges of policies in front of one that answers see
that answer as they would see the application's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from bare_serve.middleware.headers import Headers

__all__ = ["Answer", "Exchange", "FileBody", "Head", "Headers", "Outcome", "Policy"]

Kind = Literal["http", "websocket"]
BODY, END, ANSWER = 1, 2, 4
"""What a policy has returned has, beside a `start`: so that adapters ask once for each object."""
SAFE = "/!$&'()*+,;=:@~"
"""What stands in a path as it is (RFC 3986, 3.3)."""


class Head:
    """The head of a request, whichever interface the application has.

    What is put into it reaches the application and the policies behind, in a copy: what the server
    has handed over stays as it was.
    """

    __slots__ = ("kind", "method", "raw")

    kind: Kind
    """One of "http" and "websocket", the handshake of one."""
    method: str
    """As it was sent; that of a WebSocket is "GET"."""
    raw: dict[str, Any]
    """The environ or the scope as the application will get it; to be read, and written by `put`."""

    @property
    def path(self) -> str:
        """The path of the target, decoded once, below `root_path`; bytes that are not UTF-8 are
        U+FFFD."""
        raise NotImplementedError

    @property
    def root_path(self) -> str:
        """Where the application is mounted; empty for the root."""
        raise NotImplementedError

    @property
    def query(self) -> str:
        """What stands behind the ? of the target, as it was sent."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """Path and query as they were sent, with `root_path`; quoted anew where a server does not
        tell."""
        raise NotImplementedError

    @property
    def scheme(self) -> str:
        """One of "http" and "https"; of WebSockets "ws" and "wss"."""
        raise NotImplementedError

    @property
    def client(self) -> str | None:
        """The address of the client, by the word of a trusted proxy where there is one."""
        raise NotImplementedError

    def header(self, name: str) -> str | None:
        """Return the value of a field as latin-1 text, repeats joined by commas; None for none.

        Raises:
            ValueError: the name is no token.
        """
        raise NotImplementedError

    def put(self, key: str, value: object) -> None:
        """Put a value into the environ or the scope that the application gets."""
        raise NotImplementedError

    def put_header(self, name: str, value: str) -> None:
        """Have the application see this field in the place of all of that name.

        Raises:
            ValueError: the name is no token, or the value has CR, LF, NUL or no latin-1 text.
        """
        raise NotImplementedError

    def drop_header(self, name: str) -> None:
        """Have the application see no field of that name."""
        raise NotImplementedError


class FileBody(NamedTuple):
    """The body of an answer that stands in a regular file.

    An adapter has the server send it (`wsgi.file_wrapper`, `http.response.zerocopysend` or
    `http.response.pathsend`), or reads it piece by piece where the server cannot, where a policy in
    front changes bodies, or where only a part is wanted that the server cannot be told. It closes
    the descriptor in every case, also for HEAD and for a client that leaves.
    """

    fd: int
    """An open descriptor of the file, which belongs to the adapter from now on."""
    offset: int
    """Where the body begins, in bytes."""
    length: int
    """How many bytes it has. If the file has fewer by then, the answer breaks off."""
    path: str = ""
    """The path of the file, if a server may open it by that again; else the descriptor is sent."""


class Answer(NamedTuple):
    """An answer in the place of the application's.

    To HEAD the adapter sends the head alone. Content-Length is added where it is missing and may
    be there. A WebSocket gets it as a denial response where the server offers that, else the
    handshake is refused by 403.
    """

    status: int
    headers: Iterable[tuple[str, str]] = ()
    body: bytes | FileBody = b""

    @property
    def parts(self) -> int:
        """See `Exchange.parts`."""
        return ANSWER


class Outcome(NamedTuple):
    """How an answer has ended."""

    status: int
    """As sent; 101 for a WebSocket that was accepted; 0 if there was no answer."""
    sent: int
    """Bytes of body that were handed to the server, after all policies; 0 for a WebSocket, and of
    files that the server sends."""
    seconds: float
    """From before the first `begin` to the last byte of the answer, or to the end of the call."""
    error: BaseException | None = None
    """What the application raised."""
    client_gone: bool = False
    """Whether the client has left, as far as it can be told: sending failed, or the answer was not
    complete although nothing was raised."""


class Exchange:
    """What a policy does to one answer. Each part may be left out.

    Methods are called in the task or the thread that sends the answer; they must not block.
    """

    __slots__ = ()

    body: Callable[[bytes, bool], bytes] | None = None
    """Changes pieces of the body: (piece, whether it is the last) -> bytes. Looked at after each
    `start`, which may set it on the instance. The last piece may be empty, and b"" may be returned
    for now. Not called for HEAD, WebSockets and statuses without a body."""

    parts = 0
    """What the class has, of BODY and END; found out when the class is made."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # An attribute `body` of its own, or room for one in each instance.
        has_body = cls.body is not None or cls.__dictoffset__
        cls.parts = (BODY if has_body else 0) | (END if cls.end is not Exchange.end else 0)

    def start(self, status: int, headers: Headers) -> None:
        """See, and change, the head of the answer before it is sent.

        Called once; again if a WSGI application puts another head in the place of the first, which
        was not sent (`exc_info`); never if there is no answer. 101 is a WebSocket that the
        application accepts.
        """

    def end(self, outcome: Outcome) -> None:
        """Learn how it ended. Always called, once, when the last byte has gone to the server."""


@runtime_checkable
class Policy(Protocol):
    """A middleware. Made once; its methods are called by several threads."""

    def begin(self, request: Head) -> Exchange | Answer | None:
        """Look at a request.

        Returns:
            None if it is none of this policy's business, an Exchange to see the answer, an Answer
            to stop here.
        """
