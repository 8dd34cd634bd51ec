"""The lifespan of an application under the x-ray: its start and its end, a block for each.

What lives here: `Lifespan` again, telling of its messages. What must not: a decision of any kind.
"""

from __future__ import annotations

from typing import Any

from bare_serve.asgi.lifespan import Lifespan
from bare_serve.asgi.types import App, Message
from bare_serve.errors import AppLoadError, ResponseError
from bare_serve.xray import show
from bare_serve.xray.trace import APP, IN, WRONG, Tracer


class TracedLifespan(Lifespan):
    """One run of the lifespan protocol, shown."""

    def __init__(self, app: App, mode: str, tracer: Tracer) -> None:
        super().__init__(app, mode)
        self._tracer = tracer
        self._trace = tracer.begin_apart("lifespan")

    async def startup(self) -> None:
        """See `Lifespan.startup`."""
        if self.status == "off":
            return
        trace = self._trace = self._tracer.begin_apart("lifespan startup")
        trace.step(IN, "call", f"await {self._tracer.app_name}(scope, receive, send)")
        trace.step(IN, "scope", "type 'lifespan'  state {}")
        try:
            await super().startup()
        except AppLoadError as error:
            trace.step(WRONG, "failed", show.printable(str(error).partition("\n")[0]))
            trace.status = "failed"
            raise
        else:
            trace.status = "up" if self.status == "on" else "the application has no lifespan"
            if self.status != "on" and self.task is not None and not self.task.cancelled():
                error_met = self.task.exception()
                if error_met is not None:
                    trace.raised(error_met, APP)
        finally:
            trace.finish()

    async def shutdown(self, seconds: float) -> None:
        """See `Lifespan.shutdown`."""
        if self.task is None or self.status != "on":
            await super().shutdown(seconds)
            return
        trace = self._trace = self._tracer.begin_apart("lifespan shutdown")
        await super().shutdown(seconds)
        trace.status = "down"
        trace.finish()

    async def _receive(self) -> Message:
        event = await super()._receive()
        self._trace.step(IN, "receive", event["type"])
        return event

    async def _send(self, message: Message) -> None:
        shown = _described(message)
        try:
            await super()._send(message)
        except ResponseError as error:
            self._trace.step(APP, "send", shown)
            self._trace.wrong("send", error)
            raise
        text = message.get("message", "")
        if shown == "lifespan.startup.complete":
            names = ", ".join(show.printable(str(name)) for name in self._scope.get("state") or ())
            shown += f"   state is now {{{names}}}: each request gets a copy"
        self._trace.step(APP, "send", shown)
        if not isinstance(text, str):
            self._trace.advise("asgi-lifespan-message", f"'message' is {text!r}")


def _described(message: Any) -> str:
    kind = message.get("type") if isinstance(message, dict) else None
    return show.printable(str(kind))
