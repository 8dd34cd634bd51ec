"""ASGI 3 (and 2) over http1: connections, requests, scope and lifespan, on any asyncio loop."""

from bare_serve.asgi.adapters import asgi2_to_asgi3
from bare_serve.asgi.connection import Connection
from bare_serve.asgi.lifespan import Lifespan
from bare_serve.asgi.scope import listening_address
from bare_serve.asgi.service import HttpOptions, Service
from bare_serve.asgi.stopping import Looks
from bare_serve.asgi.types import App, Message, Receive, Scope, Send
from bare_serve.asgi.upgrade import websocket_imports

__all__ = [
    "App",
    "Connection",
    "HttpOptions",
    "Lifespan",
    "Looks",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "Service",
    "asgi2_to_asgi3",
    "listening_address",
    "websocket_imports",
]
