"""What slow readers ask for: ten mebibytes, made in every way in which WSGI can answer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from typing import Any

SIZE = 10 << 20
_COUNT = SIZE >> 16

_file = tempfile.TemporaryFile()  # noqa: SIM115
_file.truncate(SIZE)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """PEP 3333."""
    kind = environ["PATH_INFO"][1:]
    if not kind:
        start_response("200 OK", [("Content-Length", "1")])
        return [b"0"]
    write = start_response("200 OK", [("Content-Length", str(SIZE))])
    if kind == "file":
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](
            open(f"/proc/self/fd/{_file.fileno()}", "rb")  # noqa: SIM115
        )
        return wrapped
    if kind == "generator":
        return (os.urandom(1 << 16) for _ in range(_COUNT))  # no two pieces are one object
    for _ in range(_COUNT):
        write(os.urandom(1 << 16))
    return []
