"""Secrets that a client shows: read, and compared in constant time.

What lives here: the Authorization field taken apart, and a set of secrets that tells by no length
and no duration which of them was nearly met. What must not: schemes (basic_auth.py,
bearer_auth.py).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

from bare_serve.middleware.policy import Head


def shown(request: Head, scheme: str) -> str | None:
    """Return what stands behind `scheme`, in lower case, in Authorization; None if nothing does.

    The name of a scheme has no case (RFC 9110, 11.1). Two fields are none.
    """
    name, _, rest = (request.header("authorization") or "").partition(" ")
    rest = rest.strip(" ")
    return rest if rest and name.lower() == scheme else None


class Secrets:
    """Secrets, each of them with the name of its owner."""

    def __init__(self, known: Iterable[tuple[bytes, str]]) -> None:
        """Take pairs of a secret and a name; the secrets themselves are not kept."""
        self._key = secrets.token_bytes(32)
        self._digests = [(self._digest(secret), name) for secret, name in known]

    def __len__(self) -> int:
        return len(self._digests)

    def owner(self, given: bytes) -> str | None:
        """Return whose secret was given; None for no such secret. All digests are compared."""
        digest = self._digest(given)
        found = [name for each, name in self._digests if hmac.compare_digest(each, digest)]
        return found[0] if found else None

    def _digest(self, secret: bytes) -> bytes:
        return hmac.digest(self._key, secret, "sha256")


def put_user(request: Head, name: str) -> None:
    """Tell the application who it is: `user`, and REMOTE_USER for WSGI (RFC 3875, 4.1.11)."""
    request.put("user", name)
    if "wsgi.version" in request.raw:
        request.put("REMOTE_USER", name)


def quoted(name: str, text: str) -> str:
    """Return a text as a quoted-string (RFC 9110, 5.6.4).

    Raises:
        ValueError: it has characters that cannot stand there. The message begins with `name`.
    """
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{name}: {text!r} has characters beyond printable ASCII")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
