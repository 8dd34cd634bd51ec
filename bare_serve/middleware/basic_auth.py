"""Name and password before anything else (RFC 7617), also before a WebSocket is accepted.

Names and passwords are compared in constant time, and Authorization is never logged. The name that
was shown is `user` in environ or scope, and REMOTE_USER. Without TLS a password can be read on its
way.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable

from bare_serve.middleware.credentials import Secrets, put_user, quoted, shown
from bare_serve.middleware.policy import Answer, Head
from bare_serve.middleware.values import lines_of, paths, plain, texts


class BasicAuth:
    """`basic-auth`: asks for name and password."""

    def __init__(
        self,
        users: Iterable[str] = (),
        file: str | None = None,
        realm: str = "Protected",
        exclude: Iterable[str] = (),
    ) -> None:
        """Say who may in.

        Args:
            users: texts "name:password".
            file: a file with such a text on each line, since command lines are seen by others.
            realm: what a browser shows beside its question.
            exclude: paths, decoded and exact, that are open to all.

        Raises:
            ValueError: there are no users, one is not name:password, or the file cannot be read.
        """
        known = [*texts("users", users), *lines_of("file", file)]
        if not known:
            raise ValueError("users: name at least one, as name:password, or a file of them")
        for number, user in enumerate(known, 1):
            if not user.partition(":")[0] or not user.partition(":")[2]:
                raise ValueError(f"users: number {number} is not name:password")
        self._secrets = Secrets((user.encode(), user.partition(":")[0]) for user in known)
        challenge = f'Basic realm={quoted("realm", realm)}, charset="UTF-8"'
        self._refusal = plain(401, "Unauthorized", ("WWW-Authenticate", challenge))
        self._excluded = paths("exclude", exclude)

    def begin(self, request: Head) -> Answer | None:
        """Ask for name and password, unless they were shown."""
        if request.path in self._excluded:
            return None
        given = shown(request, "basic")
        if given is not None:
            try:
                owner = self._secrets.owner(b64decode(given.encode("latin-1"), validate=True))
            except binascii.Error:
                owner = None
            if owner is not None:
                put_user(request, owner)
                return None
        return self._refusal
