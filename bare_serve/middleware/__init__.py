"""Middleware around any application, WSGI or ASGI: the interface of this folder.

What lives here: names, and where each is defined; a name is imported when it is asked for. Each
middleware is written once, as a policy (policy.py); `wrap` puts policies around an application.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bare_serve.middleware.basic_auth import BasicAuth
    from bare_serve.middleware.bearer_auth import BearerAuth
    from bare_serve.middleware.cors import Cors
    from bare_serve.middleware.gzip import Gzip
    from bare_serve.middleware.https_redirect import HttpsRedirect
    from bare_serve.middleware.linting import lint
    from bare_serve.middleware.logging import Logging
    from bare_serve.middleware.policy import (
        Answer,
        Exchange,
        FileBody,
        Head,
        Headers,
        Outcome,
        Policy,
    )
    from bare_serve.middleware.request_id import RequestId
    from bare_serve.middleware.security_headers import SecurityHeaders
    from bare_serve.middleware.stack import wrap
    from bare_serve.middleware.static import Static
    from bare_serve.middleware.static_django import django_static
    from bare_serve.middleware.timing import Timing
    from bare_serve.middleware.trace_context import TraceContext
    from bare_serve.middleware.trusted_host import TrustedHost

_HOMES = {
    **dict.fromkeys(
        ("Answer", "Exchange", "FileBody", "Head", "Headers", "Outcome", "Policy"), "policy"
    ),
    "BasicAuth": "basic_auth",
    "BearerAuth": "bearer_auth",
    "Cors": "cors",
    "Gzip": "gzip",
    "HttpsRedirect": "https_redirect",
    "Logging": "logging",
    "RequestId": "request_id",
    "SecurityHeaders": "security_headers",
    "Static": "static",
    "Timing": "timing",
    "TraceContext": "trace_context",
    "TrustedHost": "trusted_host",
    "django_static": "static_django",
    "lint": "linting",
    "wrap": "stack",
}

__all__ = [
    "Answer",
    "BasicAuth",
    "BearerAuth",
    "Cors",
    "Exchange",
    "FileBody",
    "Gzip",
    "Head",
    "Headers",
    "HttpsRedirect",
    "Logging",
    "Outcome",
    "Policy",
    "RequestId",
    "SecurityHeaders",
    "Static",
    "Timing",
    "TraceContext",
    "TrustedHost",
    "django_static",
    "lint",
    "wrap",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
