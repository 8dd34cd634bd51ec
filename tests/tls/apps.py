"""The same application twice: what it is asked for is in the path."""

import asyncio
import hashlib
import os
import time

LARGE = bytes(range(256)) * 20_000
FILE = os.environ.get("LARGE_FILE", "")


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    status, answer = "200 OK", [b"hello"]
    if path == "/facts":
        facts = {k: v for k, v in environ.items() if isinstance(v, str)}
        answer = [repr(facts | {"scheme": environ["wsgi.url_scheme"]}).encode()]
    elif path == "/digest":
        answer = [hashlib.sha256(environ["wsgi.input"].read()).hexdigest().encode()]
    elif path == "/large":
        answer = [LARGE]
    elif path == "/stream":
        answer = (b"piece %d;" % number for number in range(100))
    elif path == "/slow":
        time.sleep(0.1)
        answer = [b"slow"]
    elif path == "/file":
        start_response(status, [("Content-Length", str(len(LARGE)))])
        return environ["wsgi.file_wrapper"](open(FILE, "rb"))
    start_response(status, [("Content-Type", "text/plain")])
    return answer


async def asgi(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["scheme"]})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        return
    assert scope["type"] == "http"
    path = scope["path"]
    start = {"type": "http.response.start", "status": 200, "headers": []}
    await send(start)
    if path == "/facts":
        kept = {k: scope[k] for k in ("scheme", "client", "server", "extensions")}
        answer = repr(kept).encode()
    elif path == "/digest":
        digest, more = hashlib.sha256(), True
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        answer = digest.hexdigest().encode()
    elif path == "/large":
        answer = LARGE
    elif path == "/stream":
        for number in range(100):
            piece = b"piece %d;" % number
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        answer = b""
    elif path == "/slow":
        await asyncio.sleep(0.1)
        answer = b"slow"
    elif path == "/file":
        await send({"type": "http.response.pathsend", "path": FILE})
        return
    else:
        answer = b"hello"
    await send({"type": "http.response.body", "body": answer})
