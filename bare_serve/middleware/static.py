"""Files of a directory are answered as they are, and nothing beside them.

What lives here: the policy, which says what a request under a prefix gets. What must not: the way
to a file (static_paths.py), what is remembered of it (static_files.py), conditions and ranges
(static_conditions.py).

Under its prefix the policy answers alone: what is not there is a 404, and the application is not
asked, unless `fallthrough`. No directory is listed.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from typing import Final, NamedTuple
from urllib.parse import quote

from bare_serve.http.date import format_http_date
from bare_serve.http.direct import DirectAnswer
from bare_serve.middleware.policy import Answer, FileBody, Head
from bare_serve.middleware.ready import ReadyFields
from bare_serve.middleware.static_conditions import (
    FAILED,
    UNCHANGED,
    Validators,
    coding_asked,
    entity_tag,
    part_asked,
    precondition,
)
from bare_serve.middleware.static_files import File, Files
from bare_serve.middleware.static_types import content_type
from bare_serve.middleware.values import Seconds

logger = logging.getLogger("bare_serve.static")

Fields = list[tuple[str, str]]

INDEX: Final = "index.html"
_SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
CONDITIONS: Final = (
    *("if-none-match", "if-modified-since", "range", "if-range"),
    *("if-match", "if-unmodified-since"),
)
_NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_NOT_KEPT: Final = ("Cache-Control", "no-store")
_FOREVER: Final = "public, max-age=31536000, immutable"
# The server's fault, or the machine's; all else means that there is no such file for a client.
_OUT: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE))
_MOST_CODINGS: Final = 256
_SECOND_NS: Final = 1_000_000_000


class _Heads(NamedTuple):
    """What answers say of a file."""

    validators: Validators
    whole: ReadyFields
    """Of a 200."""
    fields: Fields
    """Of a 206, but for the part."""
    unchanged: Fields
    """Of a 304 (RFC 9110, 15.4.5)."""
    varies: bool
    """There are twins."""
    direct: DirectAnswer | None
    """The whole answer to a GET, if the content is at hand."""


class Static:
    """Files of a directory, or one file, under a path of the site."""

    def __init__(
        self,
        prefix: str,
        directory: str | os.PathLike[str] | Files,
        *,
        index: bool = False,
        immutable: str | None = None,
        max_age: Seconds = 0,
        fallthrough: bool | None = None,
        hidden: bool = False,
    ) -> None:
        """Open the directory.

        Args:
            prefix: the path under which the files are found, such as /assets; of one file its
                own path.
            directory: where they are; or one file; or what finds them.
            index: answer a directory by its index.html, if that is there.
            immutable: a regular expression, searched in the path below the prefix; what it finds
                never changes under its name, as names with a hash of the content, and is kept by
                browsers for a year.
            max_age: seconds for which browsers keep other files without asking again.
            fallthrough: leave what is not there to the application; by default below / only.
            hidden: serve names that begin with a dot as well.

        Raises:
            ValueError: the prefix is no path, or the pattern no regular expression.
            OSError: the directory or the file cannot be opened.
        """
        self._one = ""
        if not isinstance(directory, Files):
            path = os.path.abspath(directory)  # noqa: PTH100 - a link is left as it is
            if not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116
                # What leads to the one file is the operator's business.
                path, self._one = os.path.split(os.path.realpath(path))
                hidden = True
            directory = Files(path, hidden=hidden)
        self.files = directory
        self._bare = checked_prefix(prefix)
        self._prefix = "" if self._one else f"{self._bare}/"
        self.beginning = self._prefix or self._bare
        """With which the paths begin that are not for others."""
        self._index = index
        self._immutable = None if immutable is None else compiled_pattern(immutable).search
        self._cached = f"public, max-age={max_age:.0f}" if max_age >= 1 else "no-cache"
        self._fallthrough = (not self._bare) if fallthrough is None else fallthrough
        self._codings: dict[tuple[str, tuple[str, ...]], str] = {}
        self._told: set[tuple[str, int]] = set()
        if self._one:
            _close(self.files.find(self._one)[1])

    def begin(self, request: Head) -> Answer | None:
        """Answer a request for a file; None for all other requests."""
        path = request.path
        if self._one:
            if path != self._bare:
                return None
            name = self._one
        elif path.startswith(self._prefix):
            name = path[len(self._prefix) :]
        elif path == self._bare and request.kind == "http":
            return self._directory(request, "")
        else:
            return None
        if request.kind != "http":
            return None
        if self._index and (not name or name[-1] == "/"):
            name += INDEX
        try:
            file, fd = self.files.find(name)
        except IsADirectoryError:
            return self._directory(request, name)
        except OSError as error:
            return self._failed(name, error)
        method = request.method
        if method != "GET" and method != "HEAD":
            _close(fd)
            allow = ("Allow", "GET, HEAD")
            return _plain(405, "Only GET and HEAD are allowed for a file.\n", allow)
        coding = ""
        if twins := file.twins():
            coding, file, fd = self._preferred(request, file, fd, twins)
        made = file.heads.get(coding)
        if made is None or made.varies != bool(twins):
            made = self._heads(name, file, coding, varies=bool(twins))
            if file.settled:
                file.heads[coding] = made
        answer = conditional(
            request, made.validators, made.fields, made.unchanged, file.size, fd, file.data
        )
        if answer is None:
            body = FileBody(fd, 0, file.size) if file.data is None else file.data
            return Answer(200, made.whole, body)
        if not isinstance(answer.body, FileBody):
            _close(fd)
        return answer

    def at_hand(self, name: str) -> tuple[File, DirectAnswer] | None:
        """Return a file, and the whole answer to a plain GET of it; None if it is not at hand.

        `name`: what stands behind `beginning`.
        """
        if self._one:
            if name:
                return None
            name = self._one
        elif self._index and (not name or name[-1] == "/"):
            name += INDEX
        file = self.files.remembered(name)
        if file is None or file.twins():
            return None
        made: _Heads | None = file.heads.get("")
        if made is None or made.varies or made.direct is None:
            return None
        return file, made.direct

    # ------------------------------------------------------------------ a file that is there

    def _preferred(
        self, request: Head, file: File, fd: int, twins: tuple[str, ...]
    ) -> tuple[str, File, int]:
        """Return the coding that the client likes best, and the file that has it."""
        accepted = request.header("accept-encoding") or ""
        coding = self._codings.get((accepted, twins))
        if coding is None:
            coding = coding_asked(accepted, twins)
            if len(self._codings) < _MOST_CODINGS and len(accepted) < _MOST_CODINGS:
                self._codings[accepted, twins] = coding
        if not coding:
            return "", file, fd
        try:
            twin, twin_fd = file.files.find(file.path + _SUFFIXES[coding])
        except OSError:
            return "", file, fd
        if twin.modified_ns < file.modified_ns:  # made of what the file was before
            _close(twin_fd)
            return "", file, fd
        _close(fd)
        return coding, twin, twin_fd

    def _heads(self, name: str, file: File, coding: str, *, varies: bool) -> _Heads:
        etag = entity_tag(file.modified_ns, file.size, coding, weak=not file.settled)
        immutable = self._immutable is not None and self._immutable(name)
        unchanged: Fields = [
            ("ETag", etag),
            ("Cache-Control", _FOREVER if immutable else self._cached),
        ]
        if varies:
            unchanged.append(("Vary", "Accept-Encoding"))
        fields: Fields = [("Content-Type", content_type(name))]
        if coding:
            fields.append(("Content-Encoding", coding))
        fields += [*unchanged, ("Accept-Ranges", "bytes"), _NOSNIFF]
        modified = None
        if file.settled and file.modified_ns >= 0:
            # A file that is settled has no time to come (RFC 9110, 8.8.2.1).
            modified = file.modified_ns // _SECOND_NS
            fields.append(("Last-Modified", format_http_date(modified).decode("ascii")))
        whole = ReadyFields([*fields, ("Content-Length", str(file.size))])
        direct = None if file.data is None else DirectAnswer(whole.encoded, file.data)
        return _Heads(Validators(etag, modified), whole, fields, unchanged, varies, direct)

    # ------------------------------------------------------------------ a file that is not there

    def _directory(self, request: Head, name: str) -> Answer | None:
        """Lead to the index of a directory that was asked for without its last slash."""
        whole = request.root_path + request.path
        if self._index and request.method in ("GET", "HEAD") and whole[-1:] != "/":
            try:
                _close(self.files.find(f"{name}/{INDEX}" if name else INDEX)[1])
            except OSError as error:
                return self._failed(name, error)
            # Relative, so that what proxies have cut off from the path does not matter.
            place = f"./{quote(whole.rpartition('/')[2])}/"
            query = f"?{request.query}" if request.query else ""
            return _plain(307, "It is a directory.\n", ("Location", place + query))
        return self._missing()

    def _failed(self, name: str, error: OSError) -> Answer | None:
        """Return what a request gets if a file could not be opened; log what is not its fault."""
        code = error.errno or 0
        if code in _OUT:
            self._tell(logging.ERROR, name, error)
            return _plain(503, "The file cannot be read now.\n", ("Retry-After", "1"))
        if code in (errno.EACCES, errno.EPERM):
            self._tell(logging.WARNING, name, error)
        return self._missing()

    def _tell(self, level: int, name: str, error: OSError) -> None:
        """Log a failure; one of a kind for each path, and not for more paths than a screen has."""
        told = (name, error.errno or 0)
        if told in self._told or len(self._told) >= 20:
            return
        self._told.add(told)
        shown = ascii(f"{self._bare}/{name}")
        logger.log(level, "Cannot read the file of %s: %s", shown, error.strerror)

    def _missing(self) -> Answer | None:
        if self._fallthrough:
            return None
        return _plain(404, "There is no such file.\n")


def checked_prefix(prefix: str) -> str:
    """Return a prefix without its last slash; "" for the root.

    Raises:
        ValueError: it is no path that a request can have.
    """
    if not prefix.startswith("/") or "//" in prefix or not prefix.isprintable():
        raise ValueError(f"{prefix!r} is no path such as /assets")
    if any(character in prefix for character in "?#%\\"):
        raise ValueError(f"{prefix!r} has a character that no prefix may have: one of ? # % \\")
    if any(name in (".", "..") for name in prefix.split("/")):
        raise ValueError(f"{prefix!r} has a segment . or .., which no request has")
    return prefix.rstrip("/")


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Return a regular expression.

    Raises:
        ValueError: it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


def conditional(
    request: Head,
    found: Validators,
    fields: Fields,
    unchanged: Fields,
    size: int,
    fd: int,
    data: bytes | None = None,
) -> Answer | None:
    """Answer by less than a whole file; None if conditions and range leave that.

    Args:
        request: a GET or HEAD.
        found: the validators of the file.
        fields: of a 206, but for the part.
        unchanged: fields of a 304.
        size: of the file, in bytes.
        fd: a descriptor of the file, which the answer has or has not.
        data: the content, if it is at hand.
    """
    asked = {field: value for field in CONDITIONS if (value := request.header(field)) is not None}
    if not asked:
        return None
    verdict = precondition(asked, found)
    if verdict == FAILED:
        return _plain(412, "The file is another one by now.\n")
    if verdict == UNCHANGED:
        return Answer(304, unchanged)
    part = part_asked(asked, found, size) if request.method == "GET" else None
    if part is None:
        return None
    if not part.length:
        unsatisfied = ("Content-Range", f"bytes */{size}")
        return _plain(416, "The file is shorter than that.\n", unsatisfied)
    end = part.offset + part.length
    partial = [
        *fields,
        ("Content-Length", str(part.length)),
        ("Content-Range", f"bytes {part.offset}-{end - 1}/{size}"),
    ]
    if data is None:
        return Answer(206, partial, FileBody(fd, part.offset, part.length))
    return Answer(206, partial, data[part.offset : end])


def _plain(status: int, text: str, *fields: tuple[str, str]) -> Answer:
    body = text.encode("ascii")
    length = ("Content-Length", str(len(body)))
    return Answer(status, [_TEXT, length, *fields, _NOSNIFF, _NOT_KEPT], body)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
