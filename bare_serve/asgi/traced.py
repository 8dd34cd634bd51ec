"""A call of an ASGI application under the x-ray: each message, in the record of its request.

What lives here: `Exchange` again, telling what the application is handed and what it does; the
application itself in a frame that tells how the call ends. What must not: the steps of HTTP
(http1/traced.py), WebSockets (traced_websocket.py); a decision of any kind.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, MutableMapping
from time import perf_counter
from typing import Any

from bare_serve.asgi.exchange import Exchange
from bare_serve.asgi.held_loop import Steps
from bare_serve.asgi.offers import PATHSEND
from bare_serve.asgi.states import DONE, HERE
from bare_serve.asgi.types import App, Message, Receive, Scope, Send
from bare_serve.errors import ClientGone, ResponseError
from bare_serve.http.fields import Field
from bare_serve.http1.remarks import body_remarks, case_remarks, head_remarks
from bare_serve.xray import show
from bare_serve.xray.text import render
from bare_serve.xray.trace import ADVICE, APP, IN, WRONG, Trace, waited

IN_EXTENSIONS = "bare_serve.xray"
"""The extension by which the demo is handed a function that returns the text so far."""


def traced_app(app: App) -> App:
    """Return an application that tells how its calls end; `receive` says whose calls they are."""

    def called(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        call = getattr(receive, "__self__", None)
        if isinstance(call, TracedExchange) and call.trace is not None:
            return watched(call, call.trace, scope, receive, send)
        return app(scope, receive, send)

    async def watched(
        call: TracedExchange, trace: Trace, scope: Scope, receive: Receive, send: Send
    ) -> None:
        trace.step(IN, "call", f"await {trace.tracer.app_name}(scope, receive, send)")
        trace.called_at = perf_counter()
        trace.begin_layers(scope)
        try:
            running: Any = app(scope, receive, send)
            if not inspect.isawaitable(running):
                got = f"the application returned {type(running).__name__}, which is no awaitable"
                trace.breach("asgi-app-awaitable", got)
                await running  # which raises
            await Steps(running, trace.advise)
        except BaseException as error:
            trace.raised(error)
            raise
        finally:
            trace.end_layers(scope)
        trace.step(APP, "return", "" if call.received else "receive() was never called")
        if call.state != DONE and not call.gone and call.left == HERE:
            trace.breach(call.undone, "the application returned without a complete answer")

    return called


class TracedExchange(Exchange):
    """A request and its answer, message by message."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.trace: Trace | None = getattr(self.core, "trace", None)
        self.received = False
        self._head: tuple[int, int | None, bool] | None = None
        self._given = 0
        self._waited = 0.0
        self._sending = False
        self._breach: tuple[str, str] | None = None
        self._begun = False
        self._is_head = self.head.method == "HEAD"
        self._shown = show.Body("", "", full=False, wanted=False)
        if self.trace is not None:
            self.trace.where = _where(self.scope, self.core.requests)

    def so_far(self) -> str:
        """Return what is shown of this request, and of the one before on its connection."""
        return "" if self.trace is None else "".join(map(render, self.trace.so_far()))

    # ------------------------------------------------------------------ messages

    async def receive(self) -> Message:
        """See `Exchange.receive`."""
        trace = self.trace
        self.received = True
        if trace is None:
            return await super().receive()
        began = perf_counter()
        message = await super().receive()
        pause = ""
        if message["type"] == "websocket.receive" or self._has_waited(message):
            pause = waited(perf_counter() - began, "the client")
        trace.step(IN, "receive", self.told(message) + pause)
        return message

    def _has_waited(self, message: Message) -> bool:
        return message["type"] == "http.request" and self._wakeup is not None

    def told(self, message: Message) -> str:
        """Return an event in words."""
        kind = str(message["type"])
        if kind != "http.request":
            return kind
        return f"{kind}   {len(message['body'])} B   {_more(message)}"

    async def send(self, message: Message) -> None:
        """See `Exchange.send`."""
        trace = self.trace
        if trace is None:
            await super().send(message)
            return
        at = perf_counter()
        self._waited = 0.0
        self._sending = True
        shown = self.described(message)
        try:
            await super().send(message)
        except ResponseError as error:
            trace.sent("send", shown, at)
            trace.wrong("send", error)
            raise
        except ClientGone as error:
            trace.sent("send", f"{shown}   raises {type(error).__name__}: the client has left", at)
            raise
        except BaseException as error:
            trace.sent("send", f"{shown}   ended by {type(error).__name__}", at)
            raise
        finally:
            self._sending = False
        if self.gone and not trace.has_outs:
            shown += "   dropped: the client has left"
        elif message["type"] == "http.response.body" and message.get("more_body", False):
            if not trace.has_outs and message.get("body"):
                shown += "   kept for a moment, to leave with what follows"
        trace.sent("send", shown + waited(self._waited, "the client"), at)
        if self._breach is not None:
            trace.breach(*self._breach)
        self._judge_message(trace, message)

    def send_kept(self) -> None:
        """See `StreamingCall.send_kept`."""
        super().send_kept()
        if self.trace is not None and not self._sending:
            self.trace.flush_outs()

    async def _drained(self) -> None:
        began = perf_counter()
        try:
            await super()._drained()
        finally:
            self._waited = perf_counter() - began

    async def send_body(self, data: bytes, more: bool) -> None:
        """See `Exchange.send_body`: an extension's way, which is no message of the application."""
        await Exchange.send(self, {"type": "http.response.body", "body": data, "more_body": more})

    def described(self, message: Any) -> str:
        """Return a message in words."""
        if not isinstance(message, MutableMapping) or "type" not in message:
            return f"no message: {type(message).__name__}"
        kind = message["type"]
        name = show.word(kind) if isinstance(kind, str) else show.words(f"type {kind!r}")
        if kind == "http.response.start":
            fields = _fields(message.get("headers", ()))
            trailers = "  trailers" if message.get("trailers") else ""
            held = "" if self._begun else "\nheld until the first body"
            return f"{name}   {show.words(repr(message.get('status')))}   {fields}{trailers}{held}"
        if kind == "http.response.body":
            body = message.get("body", b"")
            if not isinstance(body, (bytes, bytearray, memoryview)):
                return f"{name}   'body' of type {type(body).__name__}"
            data = bytes(body)
            self._given += len(data)
            text = f"{name}   {len(data)} B   {self._shown.piece(data)}".rstrip()
            return f"{text}   {_more(message)}"
        keys = ", ".join(show.word(str(key)) for key in message if key != "type")
        return f"{name}   {keys}" if keys else name

    def _judge_message(self, trace: Trace, message: Message) -> None:
        if message["type"] == PATHSEND:
            path = message.get("path")
            if not isinstance(path, str) or not path.startswith("/"):
                trace.advise("asgi-pathsend-absolute", f"'path' is {path!r}")
        if message["type"] != "http.response.start":
            return
        fields: list[Field] = list(message.get("headers", ()))
        status = int(message["status"])
        for remark in head_remarks(status, fields, "asgi-headers-hop-by-hop"):
            trace.advise(*remark)
        for remark in case_remarks(fields):
            trace.advise(*remark)
        flag = message.get("trailers", False)
        if flag is not True and flag is not False:
            trace.advise("asgi-http-trailers-flag", f"'trailers' is {flag!r}")
        named = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in fields}
        length = named.get(b"content-length", "")
        self._head = (
            status, int(length) if length.isdigit() else None, b"content-type" in named
        )  # fmt: skip
        self._shown = show.Body(
            named.get(b"content-type", ""),
            named.get(b"content-encoding", ""),
            full=trace.options.full,
            wanted=trace.options.bodies,
        )

    # ------------------------------------------------------------------ the end

    def complete(self) -> None:
        """See `Exchange.complete`."""
        trace, core = self.trace, self.core
        if trace is not None:
            if core.overrun or core.short:
                what, clause = ("more", "over") if core.overrun else ("less", "short")
                got = f"the application sent {what} than its Content-Length"
                self._breach = (f"http-length-{clause}", got)
        super().complete()

    def _judge_answer(self, trace: Trace) -> None:
        if self._head is None:
            return
        status, length, has_type = self._head
        for remark in body_remarks(
            status, length, self._given, has_type=has_type, is_head=self._is_head
        ):
            trace.advise(*remark)

    def _report(self) -> None:
        if self.trace is not None:
            self.trace.status = str(self.core.status or "no answer")
        super()._report()
        if self.trace is not None and not self._begun:  # refused without a call
            self.trace.finish()

    async def run(self) -> None:
        """See `Exchange.run`; shows the record."""
        trace = self.trace
        self._begun = True
        if trace is None:
            await super().run()
            return
        trace.step(IN, "scope", show.scope(self.scope, full=trace.options.full))
        if trace.options.in_call:
            self.scope["extensions"][IN_EXTENSIONS] = {"so_far": self.so_far}
        try:
            await super().run()
        finally:
            trace.flush_outs()
            self.conclude(trace)
            trace.finish()

    def fail(self, status: int, text: bytes) -> None:
        """See `Exchange.fail`."""
        if self.trace is not None:
            self.trace.by_server = True
        super().fail(status, text)

    def conclude(self, trace: Trace) -> None:
        """Say what is to be said at the end."""
        if self.state == DONE:
            self._judge_answer(trace)
        trace.status = trace.status or "no answer"

    def tell_disconnect(self, *, gone: bool = False) -> None:
        """See `Exchange.tell_disconnect`."""
        if self.trace is not None and not self.gone:
            what = "it takes nothing more" if gone else "or has closed its sending side only"
            self.trace.step(WRONG, "client left", what)
        super().tell_disconnect(gone=gone)

    def tell_stop(self) -> None:
        """See `RunningCall`."""
        if self.trace is not None:
            self.trace.step(ADVICE, "stop", "the server is stopping: receive() returns the end")
        super().tell_stop()

    def cancel_late(self) -> None:
        """See `Request`."""
        if self.trace is not None and self.state != DONE:
            self.trace.step(WRONG, "cancelled", "the call takes longer than --timeout-request")
        super().cancel_late()


def _more(message: Message) -> str:
    return "more_body" if message.get("more_body", False) else "the last"


def _where(scope: Scope, requests: int) -> str:
    client = scope.get("client")
    shown = f"{client[0]}:{client[1]}" if client else "a unix socket"
    return f"{shown}, {show.ordinal(requests)} request of its connection"


def _fields(headers: Any) -> str:
    if not isinstance(headers, (list, tuple)):
        return f"headers of type {type(headers).__name__}"
    try:
        return show.pairs(headers)
    except (TypeError, ValueError):
        return f"headers of type {type(headers).__name__}"
