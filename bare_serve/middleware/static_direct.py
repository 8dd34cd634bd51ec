"""Small files that are asked for plainly are at hand for a server: it need call nothing.

What lives here: which requests are plain, and whose they are. What must not: what an answer has
(static.py), what is remembered of a file (static_files.py), how it is sent (http/direct.py).

Whatever is not a path as it stands, has a condition or a range, or is not in memory goes the way of
all requests, and gets the same answer there. So nothing is decided here that is not decided there,
and a file is only found here once it was found there, by the rules of paths.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from bare_serve.http import RequestHead
from bare_serve.http.direct import Direct, DirectAnswer
from bare_serve.middleware.static import CONDITIONS, Static
from bare_serve.middleware.static_files import LOOK_AGAIN, File
from bare_serve.middleware.static_paths import Directory

_CONDITIONS: Final = frozenset(name.encode() for name in CONDITIONS)


class _Found(NamedTuple):
    """A file that was found at hand for a path."""

    file: File
    directory: Directory
    until: float
    """When its surroundings have to be looked at again: the directory, and twins."""
    answer: DirectAnswer


class DirectFiles:
    """The files of several policies, of which the first one with a path's prefix has that path."""

    def __init__(self, policies: Sequence[Static]) -> None:
        """Take them in the order in which they are asked."""
        self._policies = [(policy.beginning.encode(), policy) for policy in policies]
        self._found: dict[bytes, _Found] = {}
        """By paths as they were sent; no more than the policies remember."""
        for policy in policies:
            policy.files.on_forget = self._found.clear

    def __call__(self, head: RequestHead) -> DirectAnswer | None:
        """See `Direct`. HOT PATH: each time the kernel is asked, nothing else twice."""
        path = head.raw_path
        found = self._found.get(path)
        if found is None or time.monotonic() >= found.until:
            found = self._look(path)
            if found is None:
                return None
        if not _CONDITIONS.isdisjoint(dict(head.headers)):
            return None
        if not found.file.is_same(found.directory.fd):
            self._found.clear()
            return None
        return found.answer

    def _look(self, path: bytes) -> _Found | None:
        self._found.pop(path, None)
        if b"%" in path:  # what is encoded is known by another name, or by none
            return None
        until = time.monotonic() + LOOK_AGAIN
        for beginning, policy in self._policies:
            if path.startswith(beginning):
                at_hand = policy.at_hand(str(path[len(beginning) :], "utf-8", "replace"))
                if at_hand is None:
                    return None
                try:
                    directory = policy.files.directory()
                except OSError:
                    return None
                found = self._found[path] = _Found(at_hand[0], directory, until, at_hand[1])
                return found
        return None


def direct_files(around: Sequence[Any]) -> Direct | None:
    """Return what finds files that are at hand; None where something else sees requests."""
    policies = [each for each in around if type(each) is Static]
    return DirectFiles(policies) if policies and len(policies) == len(around) else None
