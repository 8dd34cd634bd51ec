"""The smallest ASGI applications, right and wrong ones, by their path."""

import asyncio

START = {"type": "http.response.start", "status": 200}
TYPE = (b"content-type", b"text/plain")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await shout(scope, receive, send)
    else:
        await _PATHS.get(scope["path"].rpartition("/")[2], hello)(scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    scope["state"]["pool"] = object()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def shout(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    await send({"type": "websocket.send", "text": message["text"].upper()})
    await receive()


async def hello(scope, receive, send):
    event = await receive()
    await send({**START, "headers": [TYPE, (b"set-cookie", b"session=abc")]})
    await send({"type": "http.response.body", "body": b"Hello " + event["body"]})


async def ticks(scope, receive, send):
    await send({**START, "headers": [TYPE]})
    for number in range(3):
        body = b"tick %d\n" % number
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0.02)  # so that each piece leaves alone
    await send({"type": "http.response.body"})


async def early(scope, receive, send):
    await send({"type": "http.response.body", "body": b"too early"})


async def text(scope, receive, send):
    await send({**START, "headers": [TYPE]})
    await send({"type": "http.response.body", "body": "hello"})


async def short(scope, receive, send):
    await send({**START, "headers": [TYPE, (b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def nothing(scope, receive, send):
    await receive()


async def boom(scope, receive, send):
    raise ValueError("no such order")


_PATHS = {f.__name__: f for f in (ticks, early, text, short, nothing, boom)}
