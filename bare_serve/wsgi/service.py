"""One request served: its environ, the application's call, and what becomes of a failure.

What lives here: which answer a failure gets, and what is logged about it. What must not: threads,
the loop, who may touch a connection (workers/wsgi/serving.py), which version of HTTP the client
speaks (interfaces.py); PEP 3333's own rules (response.py).

A failure is the client's if it is, or was caused by, what came between the application and the
client; then no traceback is logged. All else is the application's: its traceback, and 500 if
possible.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import copy_context
from time import perf_counter

from bare_serve.app.tracebacks import exc_info
from bare_serve.clauses import reference
from bare_serve.counts.tally import UNCOUNTED, Noted
from bare_serve.errors import ClientGone, RequestError
from bare_serve.http import Output, RequestHead, ServerExchange
from bare_serve.http.head import Changes
from bare_serve.http.log_text import describe, refusal
from bare_serve.logs.on_answered import CLIENT_LEFT, OnAnswered
from bare_serve.net.forwarded import changed_client
from bare_serve.wsgi.environ import Environ, change_fields, request_environ, retarget
from bare_serve.wsgi.interfaces import Client
from bare_serve.wsgi.proxied import apply_forwarded, change_client
from bare_serve.wsgi.response import Application, Exchange

logger = logging.getLogger("bare_serve.app")


class Service:
    """The application of a worker, as connections see it."""

    def __init__(
        self,
        application: Application,
        root_path: str,
        on_answered: OnAnswered | None,
        noted: Noted = UNCOUNTED,
    ) -> None:
        """Make it.

        Args:
            application: what is called.
            root_path: the beginning of paths that the application does not see.
            on_answered: is told of each answer; None for nobody.
            noted: is told of refusals and of clients that leave.
        """
        self._noted = noted
        self._no_socket_told = False
        self._application = application
        self._root_path = root_path
        self._on_answered = on_answered
        self._new_context = copy_context().copy
        """Makes a copy of the context variables as the import of the application has left them."""

    def environ(self, connection: Client, head: RequestHead) -> Environ:
        """Return the environ of a request; for one that repeats the last head, a copy.

        So it is for one that repeats its fields; only the keys of the request line are set anew,
        and those of fields that differ, if the names are the same.

        Raises:
            RequestError: 400, a trusted proxy's word cannot be understood.
        """
        last = connection.last_head
        if head is not last:
            if last is None:
                environ = self._new_environ(connection, head)
            elif head.headers is last.headers:
                environ = connection.last_environ
                retarget(environ, head)
            elif (changes := head.changes) is not None and changes[0] is last.headers:
                environ = self._changed_environ(connection, head, changes)
            else:
                environ = self._new_environ(connection, head)
            if head.upgrade is not None:
                return self._with_socket(connection, head, environ)
            connection.last_environ = environ
            connection.last_head = head
        return connection.last_environ.copy()

    def _new_environ(self, connection: Client, head: RequestHead) -> Environ:
        if connection.trust is None:
            return request_environ(connection.environ, head, self._root_path)
        environ = apply_forwarded(connection.environ, head, self._root_path, connection.trust)
        connection.client = environ["REMOTE_ADDR"]
        return environ

    def _with_socket(self, connection: Client, head: RequestHead, environ: Environ) -> Environ:
        """Return an environ with the socket, if the head asks for a WebSocket (RFC 6455, 4.2.1).

        It is not kept: each such request has a socket of its own.
        """
        if head.upgrade == b"websocket" and head.method == "GET" and not head.has_body:
            sock = connection.socket_for_upgrade()
            if sock is not None:
                environ["gunicorn.socket"] = sock
            else:
                self._report_no_socket(head)
        return environ

    def _report_no_socket(self, head: RequestHead) -> None:
        """Say once that WebSockets take threads."""
        if not self._no_socket_told:
            self._no_socket_told = True
            logger.warning(
                "%s asks for a WebSocket, which a WSGI application can have only with --threads 2 "
                "or more; see docs/wsgi.md.",
                describe(head, 200),
            )

    def _changed_environ(self, connection: Client, head: RequestHead, changes: Changes) -> Environ:
        """Return the last environ with what differs in this head."""
        environ = connection.last_environ
        fields = changes[2]
        if connection.trust is not None:
            told = changed_client(fields, changes[0], connection.trust)
            if told is None:
                return self._new_environ(connection, head)
            if told:
                change_client(environ, told[0])
                connection.client = environ["REMOTE_ADDR"]
        retarget(environ, head)
        change_fields(environ, fields)
        return environ

    def call(
        self,
        connection: Client,
        head: RequestHead,
        environ: Environ,
        new_exchange: Callable[[ServerExchange, Client], Exchange] = Exchange,
    ) -> None:
        """Call the application and send its answer; no exception leaves."""
        http = connection.http
        on_answered = self._on_answered
        connection.started = started = perf_counter() if on_answered is not None else 0.0
        try:
            exchange = new_exchange(http, connection)
            environ["wsgi.early_hints"] = exchange
            # A tenth of a microsecond; without it a thread hands on what one request has set.
            context = self._new_context()
            result = context.run(self._application, environ, exchange.start_response)
            if type(result) is list:  # has no close(): no more code of the application's runs
                exchange.send_list(result)
            else:
                context.run(exchange.send, result)
            if connection.failure is not None:
                self._swallowed(connection)
        except BaseException as error:  # noqa: BLE001
            # SystemExit too: an application must not end a worker by a stray sys.exit().
            self._failed(connection, head, error)
        if connection.given_up:
            connection.drop_output()
            return  # that was reported
        if http.overrun or http.short:
            _report_length(http, head)
        if on_answered is not None:
            # To tell what the client has taken of a file, and how long it took.
            if connection.unsent and connection.sends_file:
                self._report_at_end(connection, head, started)
                return
            on_answered(connection.client, head, http, perf_counter() - started)

    def _report_at_end(self, connection: Client, head: RequestHead, started: float) -> None:
        on_answered, client, http = self._on_answered, connection.client, connection.http
        assert on_answered is not None

        def report() -> None:
            on_answered(client, head, http, perf_counter() - started)

        connection.at_end = report

    def give_up(self, connection: Client, head: RequestHead, error: RequestError, why: str) -> None:
        """End the exchange of a call that takes too long, from another thread.

        The client is answered `error` if nothing was sent, else it sees that the answer is not
        whole. The call's own thread, which alone may touch what waits to be sent, can send
        nothing more; `why` is what it is told.
        """
        connection.mark_given_up(why)  # first: its thread may be reading the body
        http = connection.http
        answer = http.error_response(error)
        connection.give_up(answer, reset=not (answer or http.break_off()))
        if self._on_answered is not None:
            seconds = perf_counter() - connection.started
            self._on_answered(connection.client, head, http, seconds)

    def refuse(self, connection: Client, error: RequestError) -> None:
        """Send the server's own answer, the last one of the connection."""
        http = connection.http
        answer = http.error_response(error)  # first: then `http.head` is of this request, or None
        if connection.trust is not None and http.head is not connection.last_head:
            # The proxy's word on this request was not understood, or not read: the client that
            # asked before is not to blame.
            connection.client = connection.environ["REMOTE_ADDR"]
        if error.status >= 400:
            self._noted.refused(error.status)
            logger.info("%s", refusal(connection.client, http.head or error.asked, error))
        transmit(connection, answer)
        gathered = connection.collected is not None
        connection.forget_collected()
        if self._on_answered is not None:
            head = error.asked
            if error.status < 400 or gathered:  # a redirection, or the head was good
                head = http.head
            if head is not None:
                self._on_answered(connection.client, head, http, 0.0)

    def _swallowed(self, connection: Client) -> None:
        """Raise the failure that the application swallowed when its client was gone."""
        if isinstance(connection.failure, ClientGone):
            raise connection.failure

    def _failed(self, connection: Client, head: RequestHead, error: BaseException) -> None:
        if connection.given_up:
            return  # whatever it is, it is because of that
        if (sock := connection.upgraded) is not None:
            if not sock.is_expected(error):
                _log(head, error)
            return
        http = connection.http
        answer = RequestError(500, "Internal Server Error")
        failure = connection.failure
        if failure is None or not _stems_from(error, failure):
            _log(head, error)
        elif isinstance(failure, ClientGone):
            self._noted.client_left()
            if not http.response_started:
                http.status = CLIENT_LEFT
            http.break_off()
            connection.abort()
            return
        else:
            answer = failure
        if http.response_complete:
            return  # it was close() that failed: the answer is not harmed
        if not http.response_started:
            if answer.status == 500:  # the connection is not to blame, and goes on
                http.start_response(500, [(b"Content-Type", b"text/plain; charset=utf-8")])
                transmit(connection, http.send_body(answer.reason.encode() + b"\n", False))
            else:
                self.refuse(connection, answer)
        else:
            if kept := connection.take_kept():
                transmit(connection, http.send_body(kept, True), last=False)
            if not http.break_off():
                connection.abort()


def _report_length(http: ServerExchange, head: RequestHead) -> None:
    what, clause = ("more", "over") if http.overrun else ("less", "short")
    logger.warning(
        "The application sent %s than its Content-Length: %s. %s",
        *(what, describe(head), reference(f"wsgi-length-{clause}")),
    )


def transmit(connection: Client, output: Output, *, last: bool = True) -> None:
    """Send an answer of our own; a client that has left is no failure."""
    try:
        connection.transmit(output, last)
    except ClientGone:
        connection.abort()


def _log(head: RequestHead, error: BaseException) -> None:
    """Log it with the application's own traceback, in the words that ASGI has for it, too."""
    what = f"the application raised {type(error).__name__}."
    logger.error("%s: %s", describe(head), what, exc_info=exc_info(error))


def _stems_from(error: BaseException, cause: BaseException) -> bool:
    """`error` is `cause`, or was raised because of it or while it was handled."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if current is cause:
            return True
        seen.add(id(current))
        cause_told = current.__cause__
        current = current.__context__ if cause_told is None else cause_told
    return False
