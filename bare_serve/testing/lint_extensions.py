"""The lint of ASGI: the messages of extensions.

What lives here: where each may come, and what it must look like. What must not: whether the
extension was offered, and what becomes of the answer (lint_http.py).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final

from bare_serve.asgi import offers
from bare_serve.asgi.states import HELD, START, STREAM, TRAILERS
from bare_serve.asgi.types import Message
from bare_serve.http.fields import check_field, check_trailer
from bare_serve.testing.lint_scope import pairs
from bare_serve.testing.verdicts import Advise, SpecError

PUSH: Final = "http.response.push"
"""Server push of HTTP/2, which bare-serve does not offer."""

EXTENSIONS: Final[dict[str, tuple[int, ...]]] = {
    offers.PATHSEND: (HELD,),
    offers.ZEROCOPYSEND: (HELD, STREAM),
    offers.TRAILERS: (TRAILERS,),
    offers.EARLY_HINT: (START, HELD),
    offers.DEBUG: (START,),
    PUSH: (HELD, STREAM),
}
"""The states of the answer in which a message of the extension may come."""


def check_extension(message: Message, kind: str, advise: Advise) -> tuple[Message, int | None]:
    """Return a message that is checked, and how many bytes of body it stands for, if any.

    Raises:
        ResponseError, SpecError: it is not as the specification of the extension wants it.
    """
    if kind == offers.PATHSEND:
        return message, _check_path(message, advise)
    if kind == offers.ZEROCOPYSEND:
        return message, _check_open_file(message)
    if kind == offers.TRAILERS:
        found = pairs(message.get("headers", ()))
        for name, value in found:
            check_trailer(name, value)
        return {**message, "headers": found}, None
    if kind == offers.EARLY_HINT:
        return _check_links(message), None
    return message, None


def _check_links(message: Message) -> Message:
    links = message.get("links", ())
    if isinstance(links, (str, bytes)) or not hasattr(links, "__iter__"):
        raise SpecError("asgi-early-hint-links", f"'links' must be an iterable, not {links!r}")
    links = list(links)
    for link in links:
        if not isinstance(link, bytes):
            got = f"a link must be bytes, not {type(link).__name__}"
            raise SpecError("asgi-early-hint-links", got)
        check_field(b"link", link)
    return {**message, "links": links}


def _check_path(message: Message, advise: Advise) -> int:
    path = message.get("path")
    clause = "asgi-pathsend-path"
    if not isinstance(path, (str, os.PathLike)):
        raise SpecError(clause, f"'path' must be the path of a file, not {path!r}")
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        raise SpecError(clause, f"cannot open {os.fspath(path)!r}: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise SpecError(clause, f"{os.fspath(path)!r} is no regular file")
    if not isinstance(path, str) or not os.path.isabs(path):  # noqa: PTH117
        advise("asgi-pathsend-absolute", f"'path' is {path!r}")
    return found.st_size


def _check_open_file(message: Message) -> int:
    source: Any = message.get("file")
    clause = "asgi-zerocopysend-file"
    try:
        file = source if isinstance(source, int) else source.fileno()
        found = os.fstat(file)
        start = message.get("offset")
        if start is None:
            start = source.tell() if hasattr(source, "tell") else os.lseek(file, 0, os.SEEK_CUR)
    except (AttributeError, OSError, ValueError):
        raise SpecError(clause, f"'file' must be an open file, not {source!r}") from None
    if not stat.S_ISREG(found.st_mode):
        raise SpecError(clause, f"{source!r} is no regular file")
    count = message.get("count")
    for name, value in (("offset", start), ("count", count)):
        if value is not None and (not isinstance(value, int) or value < 0):
            got = f"{name!r} must be a number of bytes, not {value!r}"
            raise SpecError("asgi-zerocopysend-numbers", got)
    more = message.get("more_body", False)
    if more is not True and more is not False:
        got = f"'more_body' must be True or False, not {more!r}"
        raise SpecError("asgi-http-more-body", got)
    left = max(found.st_size - start, 0)
    return left if count is None else min(count, left)
