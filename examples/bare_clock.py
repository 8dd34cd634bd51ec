"""A clock of server-sent events: `bare-serve examples/bare_clock.py:app`, then open the page.

The generator is closed when the browser leaves. A browser whose connection broke comes back by
itself, and says by Last-Event-ID what it saw last. As WSGI the same is `app.wsgi`.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from bare_serve.bare import Bare, EventStream, HTMLResponse, Request, event

INTERVAL = 1.0  # seconds
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Clock</title>
<link rel="icon" href="data:,">
<h1>Hello, world! It is <time id="time">later</time>.</h1>
<p>Tick <span id="tick">0</span></p>
<script>
  new EventSource("clock").onmessage = event => {
    document.getElementById("time").textContent = JSON.parse(event.data).time;
    document.getElementById("tick").textContent = event.lastEventId;
  };
</script>
"""

app = Bare()


@app.get("/")
def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.get("/clock")
async def clock(request: Request) -> EventStream:
    last = request.header("last-event-id")
    return EventStream(ticks(int(last) + 1 if last.isdecimal() and len(last) < 19 else 1), ping=15)


async def ticks(number: int) -> AsyncIterator[str]:
    while True:
        yield event({"time": time.strftime("%H:%M:%S")}, id=number)
        number += 1
        await asyncio.sleep(INTERVAL)
