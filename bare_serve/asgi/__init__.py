"""ASGI 3 (and 2) over http1: connections, requests, scope and lifespan, on any asyncio loop."""

from .adapters import asgi2_to_asgi3
from .connection import Connection, redirecting
from .lifespan import Lifespan
from .scope import App, Message, Receive, Scope, Send, listening_address
from .service import HttpOptions, Service
from .stopping import Looks
from .upgrade import prepare_websockets

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
    "prepare_websockets",
    "redirecting",
]
