"""The names of middleware, and where each is defined: one table.

What lives here: names as the command line has them. What must not: making anything of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "basic-auth": "basic_auth:BasicAuth",
        "bearer-auth": "bearer_auth:BearerAuth",
        "cors": "cors:Cors",
        "gzip": "gzip:Gzip",
        "https-redirect": "https_redirect:HttpsRedirect",
        "lint": "linting:lint",
        "logging": "logging:Logging",
        "request-id": "request_id:RequestId",
        "security-headers": "security_headers:SecurityHeaders",
        "static": "static:Static",
        "timing": "timing:Timing",
        "trace-context": "trace_context:TraceContext",
        "trusted-host": "trusted_host:TrustedHost",
    }
)
"""A name, and its module in this folder with its attribute."""
