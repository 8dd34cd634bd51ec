"""A token before anything else (RFC 6750), also before a WebSocket is accepted.

Tokens that are listed are compared in constant time. A function may decide instead, such as one
that verifies a signature; it is called in the loop or thread that serves, so it must not wait for a
network. Whose token it is stands as `user` in environ or scope.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from bare_serve.middleware.credentials import Secrets, put_user, quoted, shown
from bare_serve.middleware.policy import Answer, Head
from bare_serve.middleware.values import lines_of, paths, plain, texts

# RFC 6750, 2.1: b64token.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch


class BearerAuth:
    """`bearer-auth`: asks for a token."""

    def __init__(
        self,
        tokens: Iterable[str] = (),
        file: str | None = None,
        verify: Callable[[str], str | None] | None = None,
        realm: str = "Protected",
        exclude: Iterable[str] = (),
    ) -> None:
        """Say who may in.

        Args:
            tokens: texts "token", or "name:token" to tell owners apart.
            file: a file with such a text on each line, since command lines are seen by others.
            verify: returns the name of a token's owner, None for a token that is not good; asked
                for tokens that are not listed.
            realm: what the answer calls the place.
            exclude: paths, decoded and exact, that are open to all.

        Raises:
            ValueError: there are no tokens, one is none, or the file cannot be read.
        """
        known = [*texts("tokens", tokens), *lines_of("file", file)]
        if not known and verify is None:
            raise ValueError("tokens: name at least one, a file of them, or a function")
        pairs = []
        for number, text in enumerate(known, 1):
            name, _, token = text.rpartition(":")
            if not _TOKEN(token):
                raise ValueError(f"tokens: number {number} is none that a client could send")
            pairs.append((token.encode(), name or "token"))
        self._secrets = Secrets(pairs)
        self._verify = verify
        challenge = f"Bearer realm={quoted('realm', realm)}"
        wrong = f'{challenge}, error="invalid_token"'
        self._missing = plain(401, "Unauthorized", ("WWW-Authenticate", challenge))
        self._wrong = plain(401, "Unauthorized", ("WWW-Authenticate", wrong))
        self._excluded = paths("exclude", exclude)

    def begin(self, request: Head) -> Answer | None:
        """Ask for a token, unless a good one was shown."""
        if request.path in self._excluded:
            return None
        token = shown(request, "bearer")
        if token is None:
            return self._missing
        owner = self._secrets.owner(token.encode("latin-1")) if _TOKEN(token) else None
        if owner is None and self._verify is not None and _TOKEN(token):
            owner = self._verify(token)
        if owner is None:
            return self._wrong
        put_user(request, owner)
        return None
