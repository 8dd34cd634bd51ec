"""Small files that are asked for plainly are at hand for a server: it need call nothing.

What lives here: which requests are plain, and whose they are. What must not: what an answer has
(static.py), what is remembered of a file (static_files.py), how it is sent (http/direct.py).

Whatever is not a path as it stands, has a condition or a range, or is not in memory goes the way of
all requests, and gets the same answer there. So nothing is decided here that is not decided there,
and a file is only found here once it was found there, by the rules of paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bare_serve.http import RequestHead
from bare_serve.http.direct import Direct, DirectAnswer
from bare_serve.middleware.static import CONDITIONS, Static

_CONDITIONS: Final = frozenset(name.encode() for name in CONDITIONS)


class DirectFiles:
    """The files of several policies, of which the first one with a path's prefix has that path."""

    def __init__(self, policies: Sequence[Static]) -> None:
        """Take them in the order in which they are asked."""
        self._policies = [(policy.beginning.encode(), policy) for policy in policies]

    def __call__(self, head: RequestHead) -> DirectAnswer | None:
        """See `Direct`."""
        path = head.raw_path
        for beginning, policy in self._policies:
            if path.startswith(beginning):
                # What is encoded is known by another name, or by none.
                if b"%" in path or not _CONDITIONS.isdisjoint(dict(head.headers)):
                    return None
                return policy.at_hand(str(path[len(beginning) :], "utf-8", "replace"))
        return None


def direct_files(around: Sequence[Any]) -> Direct | None:
    """Return what finds files that are at hand; None where something else sees requests."""
    policies = [each for each in around if type(each) is Static]
    return DirectFiles(policies) if policies and len(policies) == len(around) else None
