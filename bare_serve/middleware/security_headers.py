"""Fields by which a browser is stricter with the pages of this site.

What the application says of its own accord stands. Strict-Transport-Security is said over https
alone (RFC 6797, 7.2), and only if asked for: browsers remember it, and reach a site without https
no more.
"""

from __future__ import annotations

from bare_serve.middleware.headers import Ready
from bare_serve.middleware.policy import Exchange, Head, Headers
from bare_serve.middleware.values import Seconds


class SecurityHeaders:
    """`security-headers`: adds fields of security that are missing."""

    def __init__(
        self,
        frames: str = "DENY",
        referrer: str = "strict-origin-when-cross-origin",
        opener: str = "same-origin",
        csp: str = "",
        permissions: str = "",
        hsts: Seconds = 0.0,
        hsts_subdomains: bool = False,
    ) -> None:
        """Say what is told; an empty text leaves a field out.

        Args:
            frames: X-Frame-Options: who may show a page in a frame.
            referrer: Referrer-Policy: what other sites learn of where a visitor comes from.
            opener: Cross-Origin-Opener-Policy: whether pages of other sites get hold of a window.
            csp: Content-Security-Policy.
            permissions: Permissions-Policy.
            hsts: Strict-Transport-Security: for how long browsers use https alone; 0 for not.
            hsts_subdomains: and for all names below as well.

        Raises:
            ValueError: a value cannot be sent.
        """
        said = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": frames,
            "Referrer-Policy": referrer,
            "Cross-Origin-Opener-Policy": opener,
            "Content-Security-Policy": csp,
            "Permissions-Policy": permissions,
        }
        fields = [(name, value) for name, value in said.items() if value]
        self._plain = _Said(fields)
        self._secure: _Said | None = None
        """Of https, if it is another one."""
        if hsts:
            value = f"max-age={int(hsts)}" + "; includeSubDomains" * hsts_subdomains
            self._secure = _Said([*fields, ("Strict-Transport-Security", value)])

    def begin(self, request: Head) -> Exchange | None:
        """See whether the request came over https."""
        if request.kind == "websocket":
            return None
        if self._secure is not None and request.scheme == "https":
            return self._secure
        return self._plain


class _Said(Exchange):
    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = Ready(fields)

    def start(self, status: int, headers: Headers) -> None:
        headers.add_missing(self._fields)
