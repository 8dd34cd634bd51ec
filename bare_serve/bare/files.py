"""A file as a response: whole, in part if that is asked for, not at all if it is known.

What lives here: opening the file, and its fields. What must not: conditions, ranges and sending,
which are those of the folder middleware/: such a response is a policy that answers. So a server
that can send files does. The path is the handler's own; one that is made of a client's text must
not come here.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from bare_serve.bare.errors import NotFound, Text
from bare_serve.bare.response import Response
from bare_serve.http.date import format_http_date
from bare_serve.middleware.policy import Answer, FileBody, Head
from bare_serve.middleware.stack import wrap
from bare_serve.middleware.static import conditional
from bare_serve.middleware.static_conditions import Validators, entity_tag
from bare_serve.middleware.static_files import SETTLED_NS
from bare_serve.middleware.static_types import content_type as type_of


class FileResponse(Response):
    """A file, with its entity tag, conditions and one range (RFC 9110, 13 and 14)."""

    def __init__(
        self, path: str | os.PathLike[str], *, download: Text = None, content_type: Text = None
    ) -> None:
        """Open a file.

        Args:
            path: of a regular file.
            download: the name that browsers save it by; None lets them show it.
            content_type: by the suffix of the name if it is not said.

        Raises:
            NotFound: there is no such regular file.
        """
        self._fd = -1
        try:
            # Without O_NONBLOCK the opening of a named pipe waits for its other end.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError):  # a NUL in the path, half of a surrogate pair
            raise NotFound from None
        self._stat = os.fstat(self._fd)
        if not stat.S_ISREG(self._stat.st_mode):
            self._close()
            raise NotFound
        super().__init__(content_type=content_type or type_of(download or os.fspath(path)))
        self.add_header("accept-ranges", "bytes").add_header("x-content-type-options", "nosniff")
        if download is not None:
            name = quote(download, safe="")
            self.add_header("content-disposition", f"attachment; filename*=UTF-8''{name}")

    def begin(self, request: Head) -> Answer:
        """Answer, as a policy does: by the file, a part (206), or nothing (304, 412, 416)."""
        size, changed = self._stat.st_size, self._stat.st_mtime_ns
        settled = max(changed, self._stat.st_ctime_ns) < time.time_ns() - SETTLED_NS
        etag = entity_tag(changed, size, weak=not settled)
        fields, modified = self.headers, None
        if settled:
            modified = changed // 1_000_000_000
            fields.append(("last-modified", format_http_date(modified).decode("ascii")))
        fields.append(("etag", etag))
        answer = None
        if self.status == 200 and request.method in ("GET", "HEAD"):
            found = Validators(etag, modified)
            answer = conditional(
                request, found, fields, [*self._fields, fields[-1]], size, self._fd
            )
        if answer is None:
            answer = Answer(self.status, fields, FileBody(self._fd, 0, size))
        if isinstance(answer.body, FileBody):
            self._fd = -1  # it is the adapter's from now on
        return answer

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """See `Response.asgi`; a server that can send files does."""
        # It is a policy that always answers, so what is behind it is not called.
        await wrap(NotImplementedError, self, interface="asgi")(scope, receive, send)

    def wsgi(self, environ: Any, start_response: Any, run: Any, on_loop: Any) -> Iterable[bytes]:
        """See `Response.wsgi`; a server that can send files does."""
        served = wrap(NotImplementedError, self, interface="wsgi")
        return served(environ, start_response)  # type: ignore[no-any-return]

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = _close
