"""The options of middleware: which stands around the application, and with which values.

What lives here: these lines of the table of options. What must not: how one middleware is written
(named.py), which there is and what its values mean (server/middleware.py), and the table itself
(settings.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bare_serve.config.kinds import Kind, several
from bare_serve.config.options import option

if TYPE_CHECKING:
    from bare_serve.config.named import Named


def _named(raw: object) -> Named:
    from bare_serve.config.named import read_named  # few have one

    return read_named(raw)


MIDDLEWARE = Kind("a middleware", _named, str, "NAME[:key=value,...]", texts=True)


@dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)  # 1 ms less
class MiddlewareSettings:
    """A part of Settings."""

    middleware: tuple[Named, ...] = option(
        (),
        "Middleware",
        several(MIDDLEWARE, r"\s+"),
        "Middleware around the application, the first one outermost; repeatable: request-id, "
        "timing, logging, gzip, cors, basic-auth, bearer-auth, security-headers, trusted-host, "
        "https-redirect, trace-context, lint, or module:attribute of one's own or a framework's.",
    )
