"""A file as a response: in pieces, in part if that is asked for, not at all if it is known.

What lives here: which part of a file answers a request. What must not: the way from a URL to a
file: that is for folders, and the static policy of the folder middleware/ has it. The path is the
handler's own; one that is made of a client's text must not come here.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

from bare_serve.bare.errors import NotFound
from bare_serve.bare.response import StreamResponse

if TYPE_CHECKING:
    from bare_serve.bare.request import Request

_CONDITIONS = (
    *("if-none-match", "if-modified-since", "range", "if-range"),
    *("if-match", "if-unmodified-since"),
)


class FileResponse(StreamResponse):
    """A file, with its entity tag, conditions and one range (RFC 9110, 13 and 14)."""

    __slots__ = ("_fd", "_status")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        download: str | None = None,
        content_type: str | None = None,
    ) -> None:
        """Open a file.

        Args:
            path: of a regular file.
            download: the name that browsers save it by; None lets them show it.
            content_type: by the suffix of the name if it is not said.

        Raises:
            NotFound: there is no such regular file.
        """
        from bare_serve.middleware.static_types import content_type as type_of

        self._fd = -1
        try:
            # Without O_NONBLOCK the opening of a named pipe waits for its other end.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            raise NotFound from None
        self._status = os.fstat(self._fd)
        if not stat.S_ISREG(self._status.st_mode):
            self.close()
            raise NotFound
        kind = content_type or type_of(download or os.fspath(path))
        super().__init__((), content_type=kind)
        self.add_header("accept-ranges", "bytes").add_header("x-content-type-options", "nosniff")
        if download is not None:
            name = quote(download, safe="")
            self.add_header("content-disposition", f"attachment; filename*=UTF-8''{name}")

    def begin(self, request: Request) -> None:
        """Decide what of the file is sent: all, a part (206), nothing (304, 412, 416)."""
        from bare_serve.http.date import format_http_date
        from bare_serve.middleware.files import Pieces
        from bare_serve.middleware.policy import FileBody
        from bare_serve.middleware.static_conditions import (
            Validators,
            entity_tag,
            part_asked,
            precondition,
        )

        size, seconds = self._status.st_size, int(self._status.st_mtime)
        found = Validators(entity_tag(self._status.st_mtime_ns, size), seconds)
        self.set_header("etag", found.etag)
        self.set_header("last-modified", format_http_date(seconds).decode("ascii"))
        asked = {name: text for name in _CONDITIONS if (text := request.header(name))}
        offset, length = 0, size
        if verdict := precondition(asked, found):
            self.status, length = verdict, 0
        elif (part := part_asked(asked, found, size)) is not None and request.method == "GET":
            offset, length = part
            self.status = 206 if length else 416
            last = f"{offset}-{offset + length - 1}" if length else "*"
            self.set_header("content-range", f"bytes {last}/{size}")
        self.length = length
        descriptor, self._fd = self._fd, -1
        self.pieces = Pieces(FileBody(descriptor, offset, length))

    def close(self) -> None:
        """Close the file, if nothing of it was sent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close
