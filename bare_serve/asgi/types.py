"""The types of ASGI: what a server and an application hand to each other.

What lives here: names for shapes that the specification describes. What must not: anything that
runs; every module of this folder may import these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Address = tuple[str, int | None]
"""`client` and `server` of a scope: host and port, or the path of a unix socket and None."""
