"""An access log without the lines of some paths: health checks, for most.

The law: a request is left out by its path alone, as the client sent it and without the query, and
only if it went well. An answer of 500 or above is written whatever the path, since a health check
that fails is what a log is read for.

What must not be here: what a line says (access_format.py), when it is written (access_log.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from bare_serve.logs.access_format import LoggedRequest, LoggedResponse
from bare_serve.logs.access_log import AccessLog

_FAILED = 500


def skipping(paths: Collection[str], own: Collection[str] = ()) -> type[AccessLog]:
    """Return an access log without the lines of `paths`; in a path, * is anything and ? one.

    `own` are paths of the server itself, which nobody looks for in a log: they are left out even
    where they fail.
    """
    is_skipped, is_own = _matcher(paths), _matcher(own)

    class SkippingAccessLog(AccessLog):
        """Makes no line of these."""

        __slots__ = ()

        def record(
            self,
            client: str,
            request: LoggedRequest,
            response: LoggedResponse,
            seconds: float,
            note: str = "",
        ) -> None:
            """See `AccessLog.record`."""
            path = request.target.partition(b"?")[0]
            if not (response.status < _FAILED and is_skipped(path)) and not is_own(path):
                super().record(client, request, response, seconds, note)

    return SkippingAccessLog


def _matcher(paths: Collection[str]) -> Callable[[bytes], bool]:
    plain = frozenset(path.encode("ascii") for path in paths if not re.search(r"[*?]", path))
    globs = [path for path in paths if re.search(r"[*?]", path)]
    each = "|".join(map(_expression, globs)).encode("ascii")
    matches = re.compile(each, re.DOTALL).fullmatch if globs else None
    return lambda path: path in plain or (matches is not None and matches(path) is not None)


def _expression(glob: str) -> str:
    """Return a glob as a regular expression that takes no longer than a path is long.

    What stands between two stars is looked for once, from the left, and never again: otherwise a
    client could send a path that is tried in each way to divide it.
    """
    first, *parts = [re.escape(part).replace(r"\?", ".") for part in glob.split("*")]
    if not parts:
        return first
    *middle, last = parts
    return "".join((first, *(f"(?>.*?{part})" for part in middle), f".*{last}"))
