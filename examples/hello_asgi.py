"""An ASGI application without a framework.

bare-serve examples/hello_asgi.py:application
"""


async def application(scope, receive, send):
    assert scope["type"] == "http"
    name = scope["path"].strip("/") or "world"
    body = f"Hello, {name}!\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
